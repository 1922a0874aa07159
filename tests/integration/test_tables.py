"""Every command that prints a table, at every width, over names that nobody should give: each figure is whole."""

from __future__ import annotations

import re
from collections import Counter
from decimal import Decimal
from uuid import uuid4

import pytest
from sqlalchemy import Engine, text

from bench.collection import filled
from db import budget_admin, keys
from db.budget_admin import Wanted
from db.submit import Submission, submit
from tests.command import Command
from workers.stack.servers import EmbeddedServers

COMMANDS = (
    ("jobs",),
    ("jobs", "--stuck"),
    ("jobs", "--counts"),
    ("jobs", "show", "JOB"),
    ("runs",),
    ("runs", "show", "RUN"),
    ("costs",),
    ("costs", "--by", "feature,user,day,model,prompt,version"),
    ("costs", "--by", "feature", "--waste"),
    ("budgets",),
    ("models",),
    ("cache",),
    ("schedules", "list"),
    ("keys", "list"),
    ("collections",),
    ("collections", "show", "[blue]tides"),
    ("search", "tide", "--collection", "[blue]tides", "--mode", "text"),
    ("estimate", __file__, "--prompt", "receipt"),
    ("forecast", "--requests-per-day", "2000", "--input-tokens", "1062962", "--output-tokens", "250", "--input-price", "0.25", "--output-price", "2"),
)  # fmt: skip
HOSTILE = ("[red]total.txt", "x[/x]", "\x1b[31mred", "a" * 190, "日本語の文書.pdf", "=1+1", ":smile:")


@pytest.fixture
def rows(engine: Engine) -> dict[str, str]:
    """Jobs, calls, budgets, keys and collections with names that act, and large figures."""
    with engine.begin() as connection:
        for name in HOSTILE:
            told = name.replace("\x1b", "")
            job = submit(
                connection, Submission(prompt="receipt", body=uuid4().bytes, name=name, feature=told, usr=told)
            )
            connection.execute(
                text(
                    "insert into calls (id, job_id, purpose, attempt, try, state, tenant, feature, usr, prompt, version,"
                    " input_hash, provider, account, model, input_tokens, cached_tokens, output_tokens, cost_usd)"
                    " values (gen_random_uuid(), :job, 'first', 0, 1, 'answered', 'default', :told, :told, 'receipt',"
                    " 'v2', '', 'p', 'a', 'gpt-5-mini-2025-08-07', 1062962, 0, 201616, 1234.0502550001)"
                ),
                {"job": job, "told": told},
            )
            connection.execute(
                text(
                    "update jobs set state = 'failed', wait = null,"
                    " failure = jsonb_build_object('kind', 'unreadable', 'message', cast(:told as text))"
                    " where id = :job"
                ),
                {"job": job, "told": told},
            )
        run = connection.execute(
            text(
                "insert into runs (tenant, name, cause, submit, expected) values ('default', :name, 'submit',"
                " jsonb_build_object('prompt', cast(:name as text), 'feature', cast(:name as text)), 1062962) returning id"
            ),
            {"name": HOSTILE[0]},
        ).scalar_one()
        connection.execute(text("update jobs set run_id = :run where id = :job"), {"run": run, "job": job})
        wanted = Wanted(
            cap_usd=Decimal("1062962.50"), scope="feature", subject=HOSTILE[0], span="month", policy="hold"
        )
        budget_admin.put(connection, wanted, timezone="UTC")
        keys.add(connection, HOSTILE[0])
        made = filled(connection, f"c-{uuid4()}", [(HOSTILE[0], "The tide is [/x] high.")])
        connection.execute(text("delete from collections where name = '[blue]tides'"))
        connection.execute(
            text("update collections set tenant = 'default', name = '[blue]tides' where id = :id"), {"id": made.id}
        )
    return {"JOB": str(job), "RUN": str(run)}


def figures(told: str) -> Counter[str]:
    return Counter(re.findall(r"(?<![\w.,])\d[\d,]*(?:\.\d+)?(?![\w.,]*\d)", told))


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_each_figure_is_whole_at_each_width(
    docmill: Command,
    monkeypatch: pytest.MonkeyPatch,
    servers: EmbeddedServers,
    rows: dict[str, str],
    command: tuple[str, ...],
) -> None:
    command = tuple(rows.get(part, part) for part in command)
    for name in ("database", "broker", "cache"):
        monkeypatch.setenv(f"DOCMILL_{name.upper()}_URL", getattr(servers, f"{name}_url"))
    monkeypatch.setenv("DOCMILL_LLM_URL", "http://127.0.0.1:1/v1")
    monkeypatch.delenv("COLUMNS", raising=False)
    whole = docmill(*command)
    assert whole.returncode == 0, whole.stderr
    assert "\x1b[31mred" not in whole.stdout
    for width in (60, 80, 140):
        monkeypatch.setenv("COLUMNS", str(width))
        found = docmill(*command)
        missing = {each for each in figures(whole.stdout) if each not in figures(found.stdout)}
        assert not missing, found.stdout
    if command == ("jobs",):
        assert "[red]total.txt" in whole.stdout
        assert "x]" in whole.stdout, "of a name, its last part"
    if command[0] == "costs" and "--waste" not in command:
        assert "total" in found.stdout
        assert "x[/x]" in found.stdout


def test_costs_are_those_of_what_was_asked_for(
    docmill: Command, monkeypatch: pytest.MonkeyPatch, servers: EmbeddedServers, rows: dict[str, str]
) -> None:
    for name in ("database", "broker", "cache"):
        monkeypatch.setenv(f"DOCMILL_{name.upper()}_URL", getattr(servers, f"{name}_url"))
    for option, value in (
        ("feature", "[red]total.txt"),
        ("user", "x[/x]"),
        ("model", "no-such"),
        ("prompt", "nda"),
    ):
        found = docmill("costs", "--by", "feature,user,model,prompt", f"--{option}", value, "--json")
        shown = [line for line in found.stdout.splitlines() if line]
        assert found.returncode == 0
        assert bool(shown) == (option in ("feature", "user"))
        assert all(value in line for line in shown)
