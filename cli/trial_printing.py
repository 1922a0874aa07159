"""What came of a trial, for people and for programs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from rich.text import Text

from cli.console import print_table, usd
from cli.table import made_console
from docmill.visible import visible, visible_lines

if TYPE_CHECKING:
    from tasks.trial import Trial
    from tasks.trial.calls import TriedCall

__all__ = ["print_beside", "print_trial", "trial_as_json"]


def print_trial(file: Path, trial: Trial) -> None:
    """Prints all that was said about a document, and what came of it."""
    _headline(f"{file} · {trial.prompt}")
    said: list[Mapping[str, Any]] = []
    for number, call in enumerate(trial.calls, start=1):
        _print_call(number, call, said)
        said = list(call.request["messages"])
    if trial.left_out_chars:
        typer.echo(f"not shown to the model: {trial.left_out_chars} characters")
    if trial.value is not None:
        _headline("Answer")
        typer.echo(visible_lines(json.dumps(trial.value, ensure_ascii=False, indent=2)))
    found = f", because {trial.failure.kind}: {trial.failure.message}" if trial.failure else ""
    style = "" if trial.state == "done" else "red" if trial.state == "failed" else "yellow"
    made_console().print(Text(visible(f"{trial.state}{found}"), style=style))
    typer.echo(f"{len(trial.calls)} calls, USD {usd(trial.cost_usd)}")


def print_beside(file: Path, trials: Sequence[Trial]) -> None:
    """Prints where the answers of several versions differ."""
    from docmill.parsing.bounds import leaves

    columns = [dict(leaves(trial.value)) if trial.value is not None else {} for trial in trials]
    places = list(dict.fromkeys(place for column in columns for place in column))
    rows: list[tuple[object, ...]] = []
    for place in places:
        values = [_brief(column, place) for column in columns]
        rows.append((place, *values, "" if len(set(values)) == 1 else "differs"))
    rows.append(("state", *(trial.state for trial in trials), ""))
    rows.append(("calls", *(len(trial.calls) for trial in trials), ""))
    rows.append(("USD", *(usd(trial.cost_usd) for trial in trials), ""))
    typer.echo()
    print_table(f"{file.name}, side by side", ("field", *(trial.prompt for trial in trials), ""), rows)


def trial_as_json(file: Path, trial: Trial) -> dict[str, Any]:
    """The trial for programs."""
    from dataclasses import asdict

    plain = asdict(trial)
    failure = trial.failure and {"kind": trial.failure.kind, "message": trial.failure.message}
    return {"path": str(file), **plain, "failure": failure, "cost_usd": trial.cost_usd}


def _print_call(number: int, call: TriedCall, said: Sequence[Mapping[str, Any]]) -> None:
    """What was said before is not said again."""
    for at, message in enumerate(call.request["messages"]):
        if at >= len(said) or message != said[at]:
            _headline(f"Call {number}: {message['role']}")
            typer.echo(visible_lines(_words(message["content"])))
    if call.reply is not None:
        _headline(f"Call {number}: reply ({call.finish_reason})")
        typer.echo(visible_lines(call.reply))
    tokens = [("unknown" if count is None else count) for count in (call.input_tokens, call.output_tokens)]
    typer.echo(
        f"call {number}: {call.purpose}, {call.model}, {tokens[0]} tokens in, {tokens[1]} out, "
        f"USD {usd(call.cost_usd)}, {call.latency_ms} ms"
    )
    for problem in call.problems:
        typer.echo(f"  {call.failure}: {visible(problem)}")
    if call.remedy is not None:
        typer.echo(f"  what is done: {visible(call.remedy)}")


def _words(content: Any) -> str:
    return content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)


def _brief(column: Mapping[str, Any], place: str) -> str:
    if place not in column:
        return "-"
    value = column[place]
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _headline(words: str) -> None:
    typer.echo()
    made_console().print(Text(visible(words), style="bold"))
