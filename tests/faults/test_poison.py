"""Documents whose checks never end, end the process, or take all memory: they fail, and nothing beside them does."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from prompts.registry import BUILT_IN
from tests.faults.conftest import RunningStack, receipts

pytestmark = pytest.mark.timeout(600)

GOOD = 100

CHECKS = {
    "loops": "while True: pass",
    "exits": "import os; os._exit(3)",
    "swells": "held = [bytearray(50_000_000) for _ in range(20)]; raise ValueError(str(len(held)))",
}

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


@pytest.fixture
def prompts(tmp_path: Path) -> Path:
    """A folder of prompts whose checks break, each in its way."""
    for name, check in CHECKS.items():
        version = tmp_path / name / "v1"
        shutil.copytree(BUILT_IN / "document_type" / "v1", version)
        (version / "output.py").write_text(OUTPUT.format(check=check), encoding="utf-8")
    return tmp_path


def test_poison_fails_alone(start: Callable[..., RunningStack], prompts: Path) -> None:
    stack = start(DOCMILL_PROMPTS=str(prompts))
    good = receipts(GOOD)
    stack.submit(good[: GOOD // 2], "document_type")
    for name in CHECKS:
        stack.submit([f"a document that {name}"], name)
    stack.submit(good[GOOD // 2 :], "document_type")
    stack.until_all_end(280)

    ends = stack.query(
        "select prompt, state, failure ->> 'kind' as kind, count(*) as n from jobs group by 1, 2, 3"
    )
    found = {(row.prompt, row.state, row.kind): row.n for row in ends}
    poisoned: dict[tuple[str, str, str | None], int] = {(name, "failed", "poison"): 1 for name in CHECKS}
    assert found == {("document_type", "done", None): GOOD, **poisoned}
    stack.assert_ledger_is_the_bill()
