"""A plugin of pytest that keeps what SQL the application's own code sends, for a test of old code on a new schema.

    RECORD_STATEMENTS=tests/integration/statements/<revision>.json python -m pytest -p tests.recorder \
      tests/integration

Run it at each release, on the release's own code. Each distinct statement is kept once, with the values of its
first use, shortened; statements of tests and of libraries are left out.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable, Mapping
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from types import FrameType
from typing import Any
from uuid import UUID

from sqlalchemy import Engine

from tests import hearing
from tests.hearing import hear

__all__ = ["load"]

ROOT = Path(__file__).parents[1]
HEARING = hearing.__file__
OURS = tuple(str(ROOT / folder) + os.sep for folder in ("db", "tasks", "web", "workers"))
KEPT = re.compile(r"\s*(with|select|insert|update|delete|create temp)\b")
"""Migrations and transactions are left out."""
LONGEST = 300

_seen: dict[str, dict[str, Any]] = {}


def load(path: Path) -> list[tuple[str, dict[str, Any]]]:
    """Statements with their values."""
    return [
        (each["statement"], {name: _value(value) for name, value in each["values"].items()})
        for each in json.loads(path.read_text(encoding="utf-8"))
    ]


def pytest_sessionstart() -> None:
    if "RECORD_STATEMENTS" in os.environ:
        hear(Engine, before=_note)


def pytest_sessionfinish() -> None:
    if "RECORD_STATEMENTS" in os.environ:
        kept = [{"statement": statement, "values": values} for statement, values in sorted(_seen.items())]
        told = json.dumps(kept, indent=1, ensure_ascii=False)
        Path(os.environ["RECORD_STATEMENTS"]).write_text(told + "\n", encoding="utf-8")


def _note(statement: str, values: Mapping[str, Any] | None) -> None:
    if statement not in _seen and KEPT.match(statement) and _is_ours():
        _seen[statement] = {
            name: _plain(value) for name, value in (values or {}).items() if f"%({name})" in statement
        }


def _is_ours() -> bool:
    """Whether the nearest caller of this checkout is the application's code."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        file = frame.f_code.co_filename
        if file.startswith(f"{ROOT}{os.sep}") and ".venv" not in file and file not in (__file__, HEARING):
            return file.startswith(OURS)
        frame = frame.f_back
    return False


def _plain(value: Any) -> Any:
    """As JSON keeps it; what JSON has no type for, by a name and a text."""
    if isinstance(value, str) and len(value) > LONGEST:
        # A long JSON text cut short would be none.
        return {"{": "{}", "[": "[]"}.get(value[0], value[:LONGEST])
    if isinstance(value, bytes):
        return {"bytes": value[:32].hex()}
    if isinstance(value, list | tuple):
        return {"list": [_plain(each) for each in value[:3]]}
    if isinstance(value, date | Decimal | UUID):
        return {type(value).__name__.lower(): str(value)}
    return value


READERS: Mapping[str, Callable[[Any], Any]] = {
    "bytes": bytes.fromhex,
    "datetime": datetime.fromisoformat,
    "date": date.fromisoformat,
    "decimal": Decimal,
    "uuid": UUID,
    "list": lambda values: [_value(each) for each in values],
}


def _value(kept: Any) -> Any:
    if not isinstance(kept, dict):
        return kept
    ((kind, value),) = kept.items()
    return READERS[kind](value)
