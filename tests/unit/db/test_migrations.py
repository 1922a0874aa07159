"""The migrations form one line."""

from __future__ import annotations

from pathlib import Path

from alembic.config import Config
from alembic.script import ScriptDirectory

from db import migrations


def test_there_is_one_newest_schema() -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    heads = ScriptDirectory.from_config(config).get_heads()
    assert len(heads) == 1, f"give one of {heads} the other as its down_revision"
