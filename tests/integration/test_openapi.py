"""What the OpenAPI promises, asked of the running API in hundreds of good and bad ways."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import httpx

# Rules which the schemas do not say: a prompt has not every version, or looks into no collection, `since` is no later
# than `until`, two names of one filter say the same, lines are JSON, a filter is JSON, no JSON has a NUL, a deadline is not long past. So what fits the schema may be refused there, with a 422.
CONFIG = """
[[operations]]
include-name = [
  "GET /v1/costs",
  "GET /v1/jobs",
  "POST /v1/runs",
  "POST /v1/jobs",
  "POST /v1/jobs/{job_id}/retry",
  "POST /v1/collections/{collection}/documents",
  "GET /v1/collections/{collection}/search",
  "POST /v1/collections/{collection}/ask",
]
checks.positive_data_acceptance.enabled = false

# It writes no JSON lines; tests/fuzz/test_routes.py sends what it likes.
[[operations]]
include-name = "POST /v1/runs/{run_id}/jobs"
enabled = false

# What it made up would be called by the workers, or stop them.
[[operations]]
include-name = ["POST /v1/webhooks", "PUT /v1/budgets"]
enabled = false
"""


def test_every_answer_is_one_that_is_documented(up: Path, tmp_path: Path) -> None:
    """No 5xx, no status, media type or body that is not described; what is invalid is refused, what fits is taken."""
    address = json.loads((up / "ready.json").read_text())["api"]
    (tmp_path / "schemathesis.toml").write_text(CONFIG)  # found in the folder where it runs
    found = subprocess.run(
        [
            *(sys.executable, "-m", "schemathesis.cli", "run", f"{address}/openapi.json"),
            *("--max-examples", "8", "--generation-deterministic", "--phases", "examples,coverage,fuzzing"),
            *("--request-timeout", "30"),
        ],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert found.returncode == 0, found.stdout


def test_every_operation_that_takes_a_body_shows_an_example(up: Path) -> None:
    address = json.loads((up / "ready.json").read_text())["api"]
    described = httpx.get(f"{address}/openapi.json").json()
    for path, operations in described["paths"].items():
        for method, operation in operations.items():
            for status, answer in operation["responses"].items():
                problem = answer.get("content", {}).get("application/problem+json")
                assert (int(status) >= 400) == (problem is not None), (path, method, status)
    shown = ("JobWanted", "JobShown", "LoadWanted", "CostsShown")
    for name in (*shown, "BudgetWanted", "TextToIndex", "QuestionWanted", "Hits", "Collections"):
        assert described["components"]["schemas"][name]["examples"], name
