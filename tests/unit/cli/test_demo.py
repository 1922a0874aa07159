"""What the demo tells of places."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from cli.demo import print_places
from db.reports import JobReport


def report(**evidence: dict[str, Any]) -> JobReport:
    return cast("JobReport", SimpleNamespace(evidence=evidence))


def test_of_what_ocr_read_page_and_place_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    box = [0.1, 0.2, 0.3, 0.22]
    scanned = report(
        total={"found": True, "by": "ocr", "page": 2, "boxes": [box], "quote": "12.50"},
        date={"found": False},
        shop={"found": True, "by": "ocr", "page": 1, "boxes": [], "quote": "TEA HOUSE"},
    )
    written = report(total={"found": True, "by": "text", "page": 1, "boxes": [box], "quote": "99.90"})
    print_places([(Path("scan.pdf"), scanned), (Path("paper.pdf"), written), (Path("a.txt"), report())])
    told = " ".join(capsys.readouterr().out.split())
    assert "scan.pdf total 12.50 2 20 % from the left, 21 % from the top" in told
    assert "paper.pdf" not in told
    assert "shop" not in told


def test_where_no_scan_is_among_the_documents_nothing_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    print_places([(Path("a.txt"), report())])
    assert not capsys.readouterr().out
