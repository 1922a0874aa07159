"""The names of months are made once, where docmill is installed, and read by whoever needs them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from docmill.parsing.renderings import names
from docmill.parsing.renderings.names import Names, keep


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "names.json"
    monkeypatch.setattr(names, "KEPT", path)
    keep()
    return path


def read() -> Names:
    """As a process reads them that has not yet."""
    return names.names.__wrapped__()


def test_what_is_kept_is_what_would_be_made(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = names._made()
    monkeypatch.setattr(names, "_made", Names)
    assert read() == made
    assert made.months["marzo"]
    assert list(kept.parent.iterdir()) == [kept]


@pytest.mark.parametrize("wrong", [b"", b"null", b"[]", b"\xff", b'{"months": {}}'])
def test_what_is_broken_is_made_anew(kept: Path, monkeypatch: pytest.MonkeyPatch, wrong: bytes) -> None:
    kept.write_bytes(wrong)
    monkeypatch.setattr(names, "_made", lambda: Names(fillers={"made"}))
    assert read().fillers == {"made"}


def test_what_another_made_is_made_anew(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As after an upgrade of Babel's, or of this code."""
    told = json.loads(kept.read_bytes())
    kept.write_text(json.dumps({**told, "by": f"{told['by']}1"}))
    monkeypatch.setattr(names, "_made", lambda: Names(fillers={"made"}))
    assert read().fillers == {"made"}


@pytest.mark.parametrize("months", [None, 1, {"mai": 5}, {"mai": [["mai"]]}])
def test_what_is_no_name_of_a_month_is_made_anew(
    kept: Path, monkeypatch: pytest.MonkeyPatch, months: object
) -> None:
    kept.write_text(json.dumps({**json.loads(kept.read_bytes()), "months": months}))
    monkeypatch.setattr(names, "_made", lambda: Names(fillers={"made"}))
    assert read().fillers == {"made"}
