"""``docmill budgets`` and ``docmill costs``, as a user runs them."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from uuid import uuid4

import httpx
import pytest

from tests.command import Command


def test_a_budget_is_set_shown_raised_and_removed(up: Path, docmill: Command) -> None:
    user = uuid4().hex[:8]
    at = ("--data", str(up))
    made = docmill("budgets", "set", "0.50", "--user", user, "--span", "month", "--policy", "fail", "--json", *at)
    budget = json.loads(made.stdout)
    assert (budget["scope"], budget["subject"], budget["cap_usd"], budget["spent_usd"]) == (
        "user",
        user,
        "0.5",
        "0",
    )
    raised = docmill("budgets", "raise", str(budget["id"]), "2", "--json", *at)
    assert json.loads(raised.stdout)["cap_usd"] == "2"
    for words in (("budgets",), ("budgets", "list")):
        listed = docmill(*words, "--json", *at)
        assert user in listed.stdout
    assert docmill("budgets", *at).stdout.count(user) == 1
    assert docmill("budgets", "remove", str(budget["id"]), *at).returncode == 0
    assert user not in docmill("budgets", *at).stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("set", "-1"), "negative"),
        (("set", "1e30"), "nobody spends"),
        (("set", "much"), "no number"),
        (("set", "1", "--span", "week"), "--span is one of day, month, total"),
        (("set", "1", "--policy", "wait"), "--policy is one of hold, fail, cheaper"),
        (("set", "1", "--user", "a", "--feature", "b"), "a budget is for one of"),
        (("set", "1", "--user", ""), "a budget for a user needs a name"),
        (("set", "0", "--prompt", " recept "), "did you mean receipt?"),
        (("raise", "999999", "1"), "there is no budget 999999"),
        (("remove", "999999"), "there is no budget 999999"),
    ],
)
def test_a_mistake_is_one_line_and_an_exit_code(
    up: Path, docmill: Command, arguments: tuple[str, ...], message: str
) -> None:
    words = ("--", "-1") if arguments[-1] == "-1" else arguments[1:]
    found = docmill("budgets", arguments[0], "--data", str(up), *words)
    assert found.returncode == 1
    assert found.stderr.startswith("docmill: ")
    assert message in found.stderr
    assert len(found.stderr.splitlines()) == 1


def test_costs_are_told_as_csv_as_json_and_over_http_alike(up: Path, docmill: Command, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(f"TEA HOUSE {uuid4().hex}\nDate: 2021-03-04\nGreen tea 4.10\nTOTAL 4.10\n")
    at = ("--data", str(up))
    feature = uuid4().hex[:8]
    assert (
        docmill("submit", str(tmp_path), "--prompt", "receipt", "--feature", feature, "--wait", *at).returncode
        == 0
    )
    options = ("costs", "--by", "feature,day,remedy", "--since", "2d", *at)
    (told,) = [
        row for row in csv.DictReader(docmill(*options, "--csv").stdout.splitlines()) if row["feature"] == feature
    ]
    (row,) = [
        row
        for row in map(json.loads, docmill(*options, "--json").stdout.splitlines())
        if row["feature"] == feature
    ]
    assert {name: str(value) for name, value in row.items()} == told
    assert (row["accepted"], row["usd_per_accepted"]) == (1, row["cost_usd"])
    api = json.loads((up / "ready.json").read_text())["api"]
    over_http = httpx.get(f"{api}/v1/costs", params={"by": "feature,day,remedy"}).json()["rows"]
    assert row in over_http


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--since", "yesterday"), "--since is a day"),
        (("--until", "2026-02-30"), "--until is a day"),
        (("--since", "2026-02-02", "--until", "2026-02-01"), "which is later"),
        (("--json", "--csv"), "as JSON or as CSV"),
    ],
)
def test_a_span_that_cannot_be_is_told(
    up: Path, docmill: Command, arguments: tuple[str, ...], message: str
) -> None:
    found = docmill("costs", "--data", str(up), *arguments)
    assert found.returncode == 1
    assert message in found.stderr
