"""``docmill estimate``: the real prompts over the real files, before a cent is spent."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.console import AsJson, print_json, print_table, usd
from cli.sources import files_in
from docmill.errors import Unreadable

if TYPE_CHECKING:
    from decimal import Decimal

    from docmill.llm.tokens import Counter
    from docmill.reading import Limits, Reader, Reading
    from docmill.reading.drawn import Drawn
    from docmill.settings import Models, ModelTable
    from prompts import Excerpt, PromptVersion

__all__ = ["estimate"]


@dataclass(frozen=True, kw_only=True)
class Counted:
    """What the first calls for some files come to, in tokens."""

    calls: Sequence[tuple[int, int | None]]
    """The input of each, and the output that is expected of it; None where the prompt's example tells."""
    documents: int
    in_parts: int
    """Documents that are asked in parts."""
    unreadable: int
    repeated: int
    """Files with the text of another one: their answer is known by then."""


def estimate(
    paths: Annotated[list[Path], typer.Argument(help="Files, or folders of files.")],
    prompt: Annotated[str, typer.Option()],
    version: str | None = None,
    as_json: AsJson = False,
) -> None:
    """What a first call for each document costs: its input counted, its output guessed, and the most it can be.

    Corrections, retries and escalations are not in it; `docmill forecast` knows their rates from the ledger.
    """
    from docmill.llm.tokens import counter_for
    from docmill.settings import load_settings
    from workers.registry import registry_of

    settings = load_settings()
    wanted = registry_of(settings).get(prompt, version)
    model = settings.models.find(wanted.config.ladder[0])
    counter = counter_for(model.model)
    counted = _count(list(files_in(paths)), wanted, model, counter, settings.reading_limits)
    limit = wanted.config.limits.max_output_tokens
    expected = _output_tokens(wanted, counter)
    likely = limit if expected is None else expected
    found: dict[str, Any] = {
        "documents": counted.documents + counted.repeated,
        "documents_in_parts": counted.in_parts,
        "calls": len(counted.calls),
        "unreadable": counted.unreadable,
        "model": model.model,
        "input_tokens": sum(inputs for inputs, _ in counted.calls),
        "output_tokens": sum(likely if outputs is None else outputs for _, outputs in counted.calls),
        "output_tokens_at_most": len(counted.calls) * limit,
    }
    costs = {
        "cost_usd": _cost(
            [(inputs, likely if outputs is None else outputs) for inputs, outputs in counted.calls],
            model,
            settings.models,
        ),
        "cost_usd_at_most": _cost([(inputs, limit) for inputs, _ in counted.calls], model, settings.models),
    }
    if as_json:
        print_json(found | {name: None if cost is None else f"{cost:f}" for name, cost in costs.items()})
        return
    rows = [(key.replace("_", " "), value) for key, value in found.items()]
    rows += [(key.replace("_usd", " USD").replace("_", " "), usd(cost)) for key, cost in costs.items()]
    print_table("Estimate", ("what", "value"), rows)


def _count(
    files: Sequence[Path], prompt: PromptVersion, model: ModelTable, counter: Counter, limits: Limits
) -> Counted:
    from docmill.reading import Reader
    from prompts import Excerpt

    unreadable, repeated, in_parts, seen = 0, 0, 0, set()
    calls: list[tuple[int, int | None]] = []
    sees = prompt.config.input.see != "text" and bool(model.sees)
    with Reader(replace(limits, leave_scans=sees)) as reader:
        for file in files:
            try:
                reading = reader.read(file)
                shown = _shown(reader, file, reading, prompt, model) if sees else Excerpt(passages=(reading.text,))
            except Unreadable:
                unreadable += 1
                continue
            known = (shown.text, *(picture.sha256 for picture in shown.pictures))
            if reading.empty and not shown.pictures:
                unreadable += 1
            elif known in seen:
                repeated += 1
            else:
                seen.add(known)
                parts = None if shown.pictures else _in_parts(reading, prompt, model, counter)
                in_parts += parts is not None
                whole = min(_input_tokens(shown, prompt, counter), _input_limit(prompt, model, counter))
                calls += [(whole, None)] if parts is None else parts
    return Counted(calls=calls, documents=len(seen), in_parts=in_parts, unreadable=unreadable, repeated=repeated)


def _in_parts(
    reading: Reading, prompt: PromptVersion, model: ModelTable, counter: Counter
) -> list[tuple[int, int | None]] | None:
    """The calls for a document that is asked in parts; None for another."""
    from docmill.parts import Lines
    from prompts import Excerpt
    from tasks.stages.parting import FIELD_TOKENS, parts_of
    from tasks.stages.window import Room

    frame, limit = _input_tokens(Excerpt(passages=("",)), prompt, counter), prompt.config.limits.max_output_tokens
    room = Room(counter=counter, frame=frame, tokens=max(0, _input_limit(prompt, model, counter) - frame))
    parts = parts_of(reading.text, room, prompt, limit=limit, pages=reading.pages)
    if parts is None:
        return None
    lines, row_tokens = Lines(reading.text), FIELD_TOKENS * max(1, prompt.row_fields)
    found: list[tuple[int, int | None]] = []
    for part in parts:
        words = counter.count("\n".join(reading.text[start:end] for start, end in part.shown))
        rows = sum(lines.rows_in(start, end) for start, end in part.spans)
        found.append((frame + words, min(limit, words + rows * row_tokens)))
    return found


def _shown(reader: Reader, file: Path, reading: Reading, prompt: PromptVersion, model: ModelTable) -> Excerpt:
    """What a model with eyes is shown of a document. Raises Unreadable."""
    from docmill.llm.sight import sight_of
    from docmill.reading.drawn import DrawnPages
    from prompts import Excerpt
    from tasks.stages.seeing import is_drawn, pages_of, picture_of, to_be_seen

    see, pages = prompt.config.input.see, DrawnPages(reader)
    wanted = to_be_seen(see, pages_of(reading)) if is_drawn(reading) else []
    sight = sight_of(model.provider, model.model)
    body = file.read_bytes()

    def draw(page: int, dots: int) -> Drawn:
        return pages.page(file, page, dots_an_inch=dots, fetch=lambda: (body, file.name, None), patience_s=60)

    pictures = tuple(picture_of(0, page, sight, draw, beside=len(wanted) - 1) for page in wanted)
    text = "" if pictures and see == "pages" else reading.text
    return Excerpt(passages=(text,), pictures=pictures)


def _input_tokens(shown: Excerpt, prompt: PromptVersion, counter: Counter) -> int:
    params = {name: param.default or "" for name, param in prompt.config.params.items()}
    return counter.count_messages(prompt.render(shown, params))


def _input_limit(prompt: PromptVersion, model: ModelTable, counter: Counter) -> int:
    """What is longer is cut to it."""
    limits = prompt.config.limits
    if model.context_tokens is None:
        return limits.max_input_tokens
    return min(limits.max_input_tokens, counter.within(model.context_tokens - limits.max_output_tokens))


def _output_tokens(prompt: PromptVersion, counter: Counter) -> int | None:
    """Of an answer like the prompt's example; None where it has none."""
    if prompt.example is None:
        return None
    return counter.count(json.dumps(prompt.example, ensure_ascii=False))


def _cost(calls: Sequence[tuple[int, int]], model: ModelTable, models: Models) -> Decimal | None:
    """What calls of so many tokens cost, each by itself: some providers have another price for a long prompt."""
    from decimal import Decimal

    from docmill.llm.types import Usage

    each = [
        models.cost(model, Usage(input_tokens=input_tokens, output_tokens=output_tokens)).usd
        for input_tokens, output_tokens in calls
    ]
    known = [usd for usd in each if usd is not None]
    return sum(known, Decimal(0)) if len(known) == len(each) else None
