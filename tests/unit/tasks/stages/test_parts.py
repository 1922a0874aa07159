"""What the parts of a document are called together, and what they cost together."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from types import SimpleNamespace
from typing import Any, cast

import pytest

from docmill.parts import Part
from docmill.parts.rounds import Plan
from tasks.services import Services
from tasks.stages.part_calls import Asking, PartCall, part_key
from tests.jobs import call_for, job_with, prompt


def asking(*, unpriced: str = "refuse", **job: Any) -> Asking:
    services = cast("Services", SimpleNamespace(settings=SimpleNamespace(unpriced=unpriced)))
    return Asking(services=services, job=job_with(**job), prompt=prompt(), text="", plan=cast("Plan", None))


def part_call(usd: Decimal | None = None, *, input_hash: bytes = b"i") -> PartCall:
    call = call_for(job_with(), input_hash=input_hash)
    known = {**vars(call), "intent": replace(call.intent, reserved_usd=usd)}
    return PartCall(**known, about=Part(number=1, spans=((0, 1),)), estimate=1)


def key_of(document: int, *inputs: bytes, **job: Any) -> bytes | None:
    found = asking(document_id=document, **job)
    return found.of_work([part_call(input_hash=each) for each in inputs]).job.flight_key


def test_the_work_is_of_the_whole_document_also_where_one_part_is_left() -> None:
    assert key_of(1, b"a", b"b") == key_of(1, b"a", b"b")
    # Of two documents the same page may be left to be asked: their answers are none the less two.
    assert key_of(1, b"b") != key_of(2, b"b")
    assert key_of(1, b"b") != key_of(1, b"c")
    assert key_of(1, b"b", tenant="t") != key_of(1, b"b", tenant="u")
    assert key_of(1, b"b", flight_key=b"k") == b"k"


@pytest.mark.parametrize(
    ("unpriced", "prices", "needed"),
    [
        ("refuse", (Decimal(1), Decimal(2)), Decimal(3)),
        ("refuse", (Decimal(1), None), None),
        ("allow", (Decimal(1), None), Decimal(1)),  # what has a price stays within the budgets
        ("allow", (None, None), None),
    ],
)
def test_all_parts_are_reserved_together(
    unpriced: str, prices: tuple[Decimal | None, ...], needed: Decimal | None
) -> None:
    whole = asking(unpriced=unpriced, model="small").whole([part_call(usd) for usd in prices])
    assert whole.intent.reserved_usd == needed


def test_the_key_of_a_parts_answer_covers_the_tenant_what_is_asked_and_the_checks() -> None:
    one = part_key("t", b"i", b"c")
    others = [
        part_key("u", b"i", b"c"),
        part_key("t", b"j", b"c"),
        part_key("t", b"i", b"d"),
        part_key("t", b"i", None),
    ]
    # And never that of a whole's answer, which the same words may ask for.
    assert len({one, *others, call_for(job_with(tenant="t")).work}) == 6
