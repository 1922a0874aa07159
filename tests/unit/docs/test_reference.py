"""The pages that are made out of the code are as the code is."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from docmill.reading import formats, media

FOLDER = Path(__file__).parents[3] / "docs" / "reference"


def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate", FOLDER / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["settings.md", "commands.md", "http.md"])
def test_a_page_says_what_the_code_says(name: str) -> None:
    written = (FOLDER / name).read_text(encoding="utf-8")
    assert written == generator().pages()[name], "run `.venv/bin/python docs/reference/generate.py`"


def test_each_format_that_is_read_has_its_row() -> None:
    page = (FOLDER / "formats.md").read_text(encoding="utf-8")
    endings: dict[str, list[str]] = {}
    for ending, kind in media._SUFFIXES.items():
        endings.setdefault(kind, []).append(f"`{ending}`")
    read = [found for kind, found in endings.items() if kind in formats._MODULES]
    assert [found for found in read if not any(ending in page for ending in found)] == []
