"""What a prompt says must hold of a whole answer: totals, counts, running balances, numbered rows; pure.

A declaration stands in ``Annotated`` beside a field's type, as ``Grounded`` does:

    bookings: Annotated[list[Booking], Running("balance", adds="amount", opens="opening", closes="closing")]
    turnover: Annotated[Decimal, Total("bookings.amount")]

A field that is null declares nothing. What does not hold is a gap, with the rows between which it lies where that
can be told. It proves that a row is missing or read wrong; two faults that make up for each other it cannot see.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel

from docmill.errors import PromptBroken
from docmill.parsing.bounds import below

__all__ = ["Count", "Gap", "Numbered", "Running", "Total", "declared", "gaps"]

TOLERANCE = Decimal("0.005")
"""Half of the smallest amount that is written with two places."""
MOST_GAPS = 50
"""That are told of one declaration: an answer in which nothing adds up need not say so a thousand times."""


@dataclass(frozen=True, kw_only=True)
class Gap:
    """Something that a declaration demands, and that does not hold."""

    path: str
    """The declared field, or the row behind the gap."""
    rule: str
    before: str | None = None
    """The last row before the gap; None where the gap begins with the list, or no place of it is known."""
    behind: str | None = None
    """The first row behind it; None at the list's end, or where no place is known."""


@dataclass(frozen=True)
class Total:
    """The field is the sum of a list's member, as in ``Total("bookings.amount")``."""

    of: str
    tolerance: Decimal = TOLERANCE

    def gaps(self, answer: Mapping[str, Any], path: str) -> Iterator[Gap]:
        """Returns what does not add up."""
        total, summed = _number(_at(answer, path)), _sum(_column(answer, self.of))
        if total is not None and summed is not None and abs(total - summed) > self.tolerance:
            yield Gap(path=path, rule=f"is {_told(total)}, and {self.of} adds up to {_told(summed)}")


@dataclass(frozen=True)
class Count:
    """The field is the number of a list's items, as in ``Count("bookings")``."""

    of: str

    def gaps(self, answer: Mapping[str, Any], path: str) -> Iterator[Gap]:
        """Too few, or too many."""
        wanted, rows = _number(_at(answer, path)), _at(answer, self.of)
        if wanted is not None and isinstance(rows, list) and wanted != len(rows):
            yield Gap(path=path, rule=f"is {_told(wanted)}, and {self.of} has {len(rows)}")


@dataclass(frozen=True)
class Running:
    """Each row's ``balance`` is that of the row before and what the row ``adds``.

    ``opens`` and ``closes`` name fields of the answer with the balance before the first row and after the last. A
    row whose balance is null is passed over: its amount counts for the next.
    """

    balance: str
    adds: str
    opens: str | None = None
    closes: str | None = None
    tolerance: Decimal = TOLERANCE

    def gaps(self, answer: Mapping[str, Any], path: str) -> Iterator[Gap]:
        """Each place where the balance does not run: from the first row on, or from the last, as fewer do."""
        rows = _at(answer, path)
        if not isinstance(rows, list):
            return
        numbered = [(below(path, at), row) for at, row in enumerate(rows)]
        forward = list(self._from(answer, path, numbered))
        backward = [] if len(forward) < 2 else list(self._from(answer, path, numbered[::-1]))
        yield from forward if len(forward) <= len(backward) or len(forward) < 2 else map(_turned, backward)

    def _from(self, answer: Mapping[str, Any], path: str, rows: Sequence[tuple[str, Any]]) -> Iterator[Gap]:
        balance = _number(_at(answer, self.opens)) if self.opens else None
        before: str | None = None
        for place, row in rows:
            amount, stated = _number(_at(row, self.adds)), _number(_at(row, self.balance))
            balance = None if balance is None or amount is None else balance + amount
            if stated is not None:
                if balance is not None and abs(balance - stated) > self.tolerance:
                    rule = f"the balance runs to {_told(balance)} here, and the row says {_told(stated)}"
                    yield Gap(path=place, rule=rule, before=before, behind=place)
                balance = stated
            before = place
        closing = _number(_at(answer, self.closes)) if self.closes else None
        if closing is not None and balance is not None and abs(balance - closing) > self.tolerance:
            rule = f"the balance runs to {_told(balance)} at the end, and {self.closes} is {_told(closing)}"
            yield Gap(path=path, rule=rule, before=before)


def _turned(gap: Gap) -> Gap:
    """A gap in rows that run from the last to the first: what is before it stands behind it."""
    return Gap(path=gap.path, rule=gap.rule, before=gap.behind, behind=gap.before)


@dataclass(frozen=True)
class Numbered:
    """The rows' ``by`` is a number that grows by one from row to row."""

    by: str

    def gaps(self, answer: Mapping[str, Any], path: str) -> Iterator[Gap]:
        """Each place where a number is left out, or comes twice."""
        rows = _at(answer, path)
        last: tuple[Decimal, str] | None = None
        for at, row in enumerate(rows if isinstance(rows, list) else ()):
            number, place = _number(_at(row, self.by)), below(path, at)
            if number is None:
                continue
            if last is not None and number != last[0] + 1:
                rule = f"number {_told(number)} follows {_told(last[0])}"
                yield Gap(path=place, rule=rule, before=last[1], behind=place)
            last = (number, place)


Declaration = Total | Count | Running | Numbered


@lru_cache(maxsize=256)
def declared(output: type[BaseModel]) -> Sequence[tuple[str, Declaration]]:
    """The declarations of a model's own fields, with their fields' names.

    Raises PromptBroken for a name that the model has no field of.
    """
    found = [
        (field.alias or name, each)
        for name, field in output.model_fields.items()
        for each in (*field.metadata, *_said_within(field.annotation))
        if isinstance(each, Total | Count | Running | Numbered)
    ]
    known = {field.alias or name for name, field in output.model_fields.items()}
    for name, each in found:
        for named in _names(each):
            if named not in known:
                raise PromptBroken(
                    f"output.py: the declaration at {name} names {named!r}, and Output has no such field"
                )
    return found


def _said_within(annotation: Any) -> Iterator[Any]:
    """What is declared of a field that may be null, as in ``Annotated[int, Count("rows")] | None``."""
    if get_origin(annotation) is Annotated:
        yield from annotation.__metadata__
    elif get_origin(annotation) in (Union, UnionType):
        for choice in get_args(annotation):
            yield from _said_within(choice)


def _names(declaration: Declaration) -> list[str]:
    """The answer's own fields that a declaration names."""
    if isinstance(declaration, Total | Count):
        return [declaration.of.partition(".")[0]]
    if isinstance(declaration, Running):
        paths = [declaration.opens, declaration.closes]
        return [path.partition(".")[0] for path in paths if path is not None]
    return []


def gaps(answer: Mapping[str, Any], output: type[BaseModel]) -> list[Gap]:
    """Returns what of the declarations does not hold for an answer, each declaration's first ones."""
    found: list[Gap] = []
    for path, each in declared(output):
        found += [gap for gap, _ in zip(each.gaps(answer, path), range(MOST_GAPS), strict=False)]
    return found


def _at(value: Any, path: str) -> Any:
    for step in path.split("."):
        value = value.get(step) if isinstance(value, Mapping) else None
    return value


def _column(answer: Mapping[str, Any], path: str) -> list[Any] | None:
    rows, _, member = path.partition(".")
    found = _at(answer, rows)
    if not isinstance(found, list):
        return None
    return [_at(row, member) if member else row for row in found]


def _sum(column: Sequence[Any] | None) -> Decimal | None:
    """None where a row's amount is not known: nothing can be held against it."""
    if column is None:
        return None
    numbers = [_number(each) for each in column]
    known = [each for each in numbers if each is not None]
    return sum(known, Decimal(0)) if len(known) == len(numbers) else None


def _number(value: Any) -> Decimal | None:
    """An amount as JSON has it: of a number as it is written, or of a text that is one."""
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal | str):
        return None
    if isinstance(value, float) and not math.isfinite(value):
        return None
    try:
        number = Decimal(str(value))
    except ArithmeticError:
        return None
    return number if number.is_finite() and abs(number.adjusted()) < 30 else None


def _told(number: Decimal) -> str:
    return f"{number.normalize():f}" if number else "0"
