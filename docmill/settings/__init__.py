"""Settings from the environment, and the models of ``docmill.toml``."""

from __future__ import annotations

from docmill.settings.environment import Settings, load_settings
from docmill.settings.models import SIMULATED, Model, Models, ModelTable

__all__ = ["SIMULATED", "Model", "ModelTable", "Models", "Settings", "load_settings"]
