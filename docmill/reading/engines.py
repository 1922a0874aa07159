"""Which engines of OCR there are on this machine, without loading any."""

from __future__ import annotations

import importlib.util

__all__ = ["installed"]


def installed() -> bool:
    """Returns whether the engine that needs no other program is installed."""
    return all(importlib.util.find_spec(name) is not None for name in ("rapidocr", "onnxruntime"))
