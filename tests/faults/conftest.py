"""One fleet for all trials; a trial that fails leaves it behind, and the next one gets a new one."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from prompts.registry import BUILT_IN
from tests.faults.lab import Lab, Trial
from tests.stack import data, start
from workers.stack.places import scratch

__all__ = ["POISON", "a_lab", "data", "lab", "start", "trial"]

OUTPUT = """
from pydantic import BaseModel, field_validator

class Output(BaseModel):
    label: str

    @field_validator("label")
    @classmethod
    def check(cls, label: str) -> str:
        {check}
        return label
"""

POISON = {
    "loops": "while True: pass",
    "exits": "import os; os._exit(3)",
    "swells": "held = [bytearray(50_000_000) for _ in range(20)]; raise ValueError(str(len(held)))",
}
"""Prompts whose checks break, each in its way."""


def _poison_prompts(folder: Path) -> Path:
    for name, check in POISON.items():
        version = folder / name / "v1"
        shutil.copytree(BUILT_IN / "document_type" / "v1", version)
        (version / "output.py").write_text(OUTPUT.format(check=check), encoding="utf-8")
    return folder


@contextmanager
def a_lab(*, env: Mapping[str, str] | None = None, **options: Any) -> Iterator[Lab]:
    """One more lab; options as :class:`Lab` has them."""
    with scratch("fault") as data:
        prompts = _poison_prompts(data / "prompts")
        with Lab(data=data, env={"DOCMILL_PROMPTS": str(prompts), **(env or {})}, **options) as running:
            yield running


@pytest.fixture(scope="package")
def lab() -> Iterator[Lab]:
    with a_lab() as running:
        yield running


@pytest.fixture
def trial(lab: Lab) -> Callable[[str, str], Trial]:
    """``trial("2", "kill -9 a whole worker")``"""
    return lab.trial
