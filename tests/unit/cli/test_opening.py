"""``docmill open``: an address for whatever somebody holds in their hand."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli.commands import app


@pytest.mark.parametrize(
    ("what", "path"),
    [
        ("", "/"),
        ("7", "/jobs/7"),
        ("review", "/review"),
        ("hull 7.pdf", "/search?q=hull+7.pdf"),
        ("?x=1", "/search?q=%3Fx%3D1"),
    ],
)
def test_it_says_where_the_page_is(tmp_path: Path, what: str, path: str) -> None:
    ready = {"database_url": "x", "broker_url": "x", "cache_url": "x", "api": "http://127.0.0.1:8080"}
    (tmp_path / "ready.json").write_text(json.dumps(ready))
    found = CliRunner().invoke(app, ["open", what, "--address", "--data", str(tmp_path)])
    assert (found.exit_code, found.output.strip()) == (0, f"http://127.0.0.1:8080{path}")
    told = CliRunner().invoke(app, ["open", what, "--json", "--data", str(tmp_path)])
    assert json.loads(told.output) == {"address": f"http://127.0.0.1:8080{path}"}
