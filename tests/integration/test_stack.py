"""``docmill up`` and the commands beside it, as a user runs them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from workers.stack.places import scratch

COMMAND = (sys.executable, "-m", "docmill")
RECEIPT = "TEA HOUSE\n1 Sample Street\nDate: 2021-03-04\nGreen tea 4.10\nTOTAL 4.10\n"


def docmill(*arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *arguments], capture_output=True, text=True, check=False, timeout=120, env={**os.environ, **env}
    )


def submitted(up: Path, *arguments: str) -> tuple[int, list[dict[str, Any]]]:
    found = docmill("submit", *arguments, "--data", str(up), "--wait", "--json")
    return found.returncode, [json.loads(line) for line in found.stdout.splitlines()]


def test_a_receipt_becomes_a_priced_answer(up: Path, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(RECEIPT)
    code, (job,) = submitted(up, str(tmp_path), "--prompt", "receipt", "--feature", "kiosk", "--user", "u1")
    assert code == 0
    assert (job["state"], job["path"], job["failure"]) == ("done", str(tmp_path / "a.txt"), None)
    assert job["value"]["total"] == 4.1
    assert float(job["cost_usd"]) > 0

    driven = docmill("jobs", "--drives", str(job["id"]), "--data", str(up), "--json")
    assert [
        (row["stage"], row["cause"], row["late_s"]) for row in map(json.loads, driven.stdout.splitlines())
    ] == [("validate", "start", None)]
    told = docmill("result", str(job["id"]), "--data", str(up))
    assert json.loads(told.stdout) == job["value"]
    costs = docmill("costs", "--by", "feature,user", "--data", str(up), "--json")
    row = next(row for row in map(json.loads, costs.stdout.splitlines()) if row["feature"] == "kiosk")
    assert (row["user"], row["cost_usd"]) == ("u1", job["cost_usd"])


def test_bad_files_fail_each_for_its_reason_and_the_rest_goes_on(up: Path, tmp_path: Path) -> None:
    (tmp_path / "empty.txt").touch()
    (tmp_path / "junk.bin").write_bytes(bytes(range(256)) * 50)
    (tmp_path / "good.txt").write_text(RECEIPT + " ")
    (tmp_path / "huge.txt").touch()
    os.truncate(tmp_path / "huge.txt", 200_000_000)
    code, jobs = submitted(up, str(tmp_path), "--prompt", "receipt")
    found = {Path(job["path"]).name: (job["state"], (job["failure"] or {}).get("detail")) for job in jobs}
    assert code == 1
    assert found == {
        "empty.txt": ("failed", "empty"),
        "junk.bin": ("failed", "unsupported"),
        "good.txt": ("done", None),
        "huge.txt": ("refused", None),
    }


def test_a_failed_job_is_retried_and_a_done_one_only_afresh(up: Path, tmp_path: Path) -> None:
    (tmp_path / "e.txt").touch()
    (tmp_path / "g.txt").write_text(RECEIPT + "  ")
    _, jobs = submitted(up, str(tmp_path), "--prompt", "receipt")
    ids = {Path(job["path"]).name: str(job["id"]) for job in jobs}
    assert docmill("retry", ids["e.txt"], "--data", str(up)).returncode == 0
    refused = docmill("retry", ids["g.txt"], "--data", str(up))
    assert (refused.returncode, "--fresh makes a new job" in refused.stderr) == (1, True)
    fresh = docmill("retry", ids["g.txt"], "--fresh", "--data", str(up), "--json")
    assert json.loads(fresh.stdout)["id"] not in ids.values()
    assert "nothing to cancel" in docmill("cancel", ids["g.txt"], "--data", str(up)).stderr


def test_what_a_person_gets_wrong_is_one_line_that_says_what_to_do(up: Path, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(RECEIPT)
    at = ("--data", str(up))
    for arguments, told in (
        (("submit", str(tmp_path), "--prompt", "recipt", *at), "did you mean receipt?"),
        (("submit", "nowhere.txt", "--prompt", "receipt", *at), "there is no nowhere.txt"),
        (("submit", str(tmp_path), "--prompt", "receipt", "--deadline", "soon", *at), "--deadline is a span"),
        (("result", "99999999", *at), "there is no job 99999999"),
        (("costs", "--by", "shoe-size", *at), "use some of feature"),
        (("up", *at), "in use by another `docmill up`"),
        (("jobs", "--data", str(tmp_path)), "no docmill runs on"),
    ):
        found = docmill(*arguments)
        assert found.returncode == 1
        assert told in found.stderr
        assert "Traceback" not in found.stderr
    assert docmill("doctor", *at).returncode == 0, "the refused `up` must leave the running one alone"


def test_a_deadline_that_passed_ends_the_job(up: Path, tmp_path: Path) -> None:
    (tmp_path / "late.txt").write_text(RECEIPT + "   ")
    _, (job,) = submitted(up, str(tmp_path), "--prompt", "receipt", "--deadline", "0s")
    assert (job["state"], job["failure"]["kind"]) == ("failed", "deadline")


def test_servers_that_are_away_are_named_without_their_passwords(tmp_path: Path) -> None:
    for name, url in (
        ("DOCMILL_DATABASE_URL", "postgresql://me:sesame@127.0.0.1:1/none"),
        ("DOCMILL_BROKER_URL", "redis://:sesame@127.0.0.1:1/0"),
    ):
        with scratch("away") as data:
            found = docmill("up", "--data", str(data), **{name: url})
        assert (found.returncode, name in found.stderr, "sesame" in found.stderr) == (1, True, False)
