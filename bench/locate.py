"""How long it takes to find where the values of a large answer stand in a large document.

    .venv/bin/python -m bench.locate [--characters 280000] [--values 1400] [--json]

A filing of tables and prose, made up from a seed, and an answer with names, amounts and dates out of it, a few
of them made up: each is looked for as `parse` does it. Then the same at a quarter of both, to see whether the time
grows with the size, or with its square.
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from itertools import islice
from typing import Annotated, Any

from pydantic import BaseModel

from bench.harness import tell
from docmill.parsing import Grounded
from docmill.parsing.evidence import evidence
from docmill.reading.values import reading_of

SYLLABLES = (
    "ba",
    "cor",
    "den",
    "fal",
    "gim",
    "hol",
    "jun",
    "ker",
    "lam",
    "mon",
    "nor",
    "pel",
    "quil",
    "ros",
    "sat",
)
MONTHS = "Januar Februar März April Mai Juni Juli August September Oktober November Dezember"
EVERY_SO_MANY_MADE_UP = 20


class Entry(BaseModel):
    name: Annotated[str, Grounded()]
    amount: Annotated[Decimal, Grounded()]
    day: Annotated[date, Grounded()]
    spelled: Annotated[date, Grounded()]


class Answer(BaseModel):
    entries: list[Entry]


@dataclass(frozen=True, kw_only=True)
class Filing:
    text: str
    answer: dict[str, list[dict[str, Any]]]


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--characters", type=int, default=280_000)
    options.add_argument("--values", type=int, default=1_400)
    options.add_argument("--json", action="store_true")
    chosen = options.parse_args()
    _seconds(_filing(4_000, 40))  # a process reads the names of the months once
    quarter = _seconds(_filing(chosen.characters // 4, chosen.values // 4))
    tell(
        "locate",
        {"quarter_s": quarter, "whole_s": _seconds(_filing(chosen.characters, chosen.values))},
        "quarter_s",
    )


def _seconds(filing: Filing) -> float:
    """Of CPU; and what was told is what stands there, else there would be nothing to measure."""
    begun = time.process_time()
    reading = reading_of(filing.text, "text/plain")
    found = evidence(filing.answer, Answer, reading, [(0, len(filing.text))])
    passed = time.process_time() - begun
    entries = len(filing.answer["entries"])
    made_up = len(range(0, entries, EVERY_SO_MANY_MADE_UP))
    assert found is not None
    assert sum(place["found"] for place in found.values()) >= 4 * (entries - made_up)
    return passed


def _filing(characters: int, values: int) -> Filing:
    random_ = random.Random(characters)
    pieces: list[str] = []
    entries = []
    size = 0
    while size < characters:
        entry, line = _entry(random_)
        pieces += [line, " ".join(islice(_words(random_), 12)) + ".\n"]
        size += len(pieces[-1]) + len(pieces[-2])
        entries.append(entry)
    chosen = random_.sample(entries, values // 4)
    for made_up in chosen[::EVERY_SO_MANY_MADE_UP]:
        made_up.update(_entry(random_)[0])
    return Filing(text="".join(pieces), answer={"entries": chosen})


def _entry(random_: random.Random) -> tuple[dict[str, Any], str]:
    """A row of a table, and what it says."""
    name = " ".join(islice(_words(random_), 3)).title()
    amount = Decimal(random_.randrange(100, 10**9)) / 100
    day, other = (date(2000, 1, 1) + timedelta(random_.randrange(9_000)) for _ in range(2))
    written = f"{amount:,.2f}".translate(str.maketrans(",.", ".,"))
    spelled = f"{other.day}. {MONTHS.split()[other.month - 1]} {other.year}"
    line = f"{name}   {day:%d.%m.%Y}   {written} EUR   {spelled}\n"
    return {"name": name, "amount": float(amount), "day": f"{day}", "spelled": f"{other}"}, line


def _words(random_: random.Random) -> Iterator[str]:
    while True:
        yield "".join(random_.choices(SYLLABLES, k=random_.randrange(1, 4)))


if __name__ == "__main__":
    main()
