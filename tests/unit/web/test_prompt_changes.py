"""What changed between two versions of a prompt, line by line."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from web.pages.prompts import LONGEST_DIFF, _lines

HALF = LONGEST_DIFF // 2
LINE = st.sampled_from(["a", "b", "c", ""])


def test_whole_lines_are_the_same_added_or_removed() -> None:
    assert _lines("one\ntwo\nnew\nend", "one\ntvo\nend\nlast") == [
        ("same", "one"), ("removed", "tvo"), ("added", "two"), ("added", "new"), ("same", "end"), ("removed", "last"),
    ]  # fmt: skip


@given(st.lists(LINE), st.lists(LINE))
def test_both_versions_can_be_read_from_what_changed(old: list[str], new: list[str]) -> None:
    before, after = "".join(f"{line}\n" for line in old), "".join(f"{line}\n" for line in new)
    told = _lines(after, before)
    assert [line for kind, line in told if kind != "added"] == old
    assert [line for kind, line in told if kind != "removed"] == new


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (["- a field of the answer, {at} of them"] * HALF, ["- one field of an answer, {at} of them"] * HALF),
        (["x"] * HALF, ["x", "y"] * (HALF // 2)),
    ],
)
def test_lines_that_are_alike_take_no_minutes(old: list[str], new: list[str]) -> None:
    texts = ["\n".join(line.format(at=at) for at, line in enumerate(each)) for each in (new, old)]
    code = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_CPU, (20, 20)); "
        "from web.pages.prompts import _lines; new, old = sys.stdin.read().split(chr(0)); print(len(_lines(new, old)))"
    )
    told = subprocess.run(
        [sys.executable, "-c", code], input="\0".join(texts), text=True, capture_output=True, check=False
    )
    assert told.returncode == 0, "it takes more than 20 seconds of CPU"
    assert int(told.stdout) >= HALF
