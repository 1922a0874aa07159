"""What an estimate counts: a document that is asked in parts by each of its calls."""

from __future__ import annotations

import json
from pathlib import Path

from typer.testing import CliRunner

from cli.commands import app


def test_a_document_in_parts_is_counted_by_its_calls(tmp_path: Path) -> None:
    rows = "\n".join(f"{1 + at % 28:02}.03.2026 No{at} Tea {at}.10 {at * 2}.20" for at in range(130))
    (tmp_path / "long.txt").write_text(f"Account AB-1\nCurrency EUR\n{rows}\n", encoding="utf-8")
    (tmp_path / "short.txt").write_text("Account AB-1\n01.03.2026 Tea 3.00 10.00\n", encoding="utf-8")
    told = CliRunner().invoke(app, ["estimate", str(tmp_path), "--prompt", "statement", "--json"])
    found = json.loads(told.stdout)
    assert (found["documents"], found["documents_in_parts"]) == (2, 1)
    assert found["calls"] >= 5
    assert found["output_tokens"] > 130 * 20
    assert float(found["cost_usd"]) < float(found["cost_usd_at_most"])
