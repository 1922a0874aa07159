"""The simulator looks at pictures: reads them by OCR, counts them by a rule of its own, and refuses as providers do."""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
from collections.abc import Iterator, Sequence
from typing import Any
from uuid import uuid4

import pytest
from PIL import Image, ImageDraw, ImageFont

from docmill.errors import Failure, Repair
from docmill.llm.client import Endpoint, Outcome, ask
from docmill.llm.sight import sight_of
from docmill.llm.tokens import counter_for
from docmill.llm.transport import HttpTransport
from docmill.llm.types import Message, Picture, Request
from docmill.parsing import parse
from docmill.reading.engines import installed
from docmill.simulator import Settings, Simulator
from docmill.simulator.eyes import Eyes
from docmill.simulator.faults import misread
from prompts import Excerpt, Registry
from tests.integration.test_simulator import get

pytestmark = pytest.mark.skipif(not installed(), reason="the simulator's eyes are RapidOCR's: docmill[app]")

LINES = ("EXAMPLE TEA HOUSE", "1 Sample Street", "Date: 09/03/2018", "Green tea    10.00", "TOTAL    12.50")
SIGHT = sight_of("simulator", "sim-small")


def receipt(lines: Sequence[str] = LINES, *, size: tuple[int, int] = (700, 500)) -> bytes:
    drawn = Image.new("RGB", size, "white")
    draw, font = ImageDraw.Draw(drawn), ImageFont.load_default(36)
    for at, line in enumerate(lines):
        draw.text((40, 30 + 80 * at), line, fill="black", font=font)
    written = io.BytesIO()
    drawn.save(written, "PNG")
    return written.getvalue()


def picture(content: bytes, page: int = 1) -> Picture:
    with Image.open(io.BytesIO(content)) as opened:
        width, height = opened.size
    return Picture(
        document_id=1,
        page=page,
        width=width,
        height=height,
        media_type="image/png",
        sha256=hashlib.sha256(content).hexdigest(),
        size=len(content),
        tokens=SIGHT.tokens(width, height),
        most_tokens=SIGHT.most_tokens(width, height),
        content=content,
    )


def request(*pictures: Picture, model: str = "sim-small", text: str = "") -> Request:
    system, user = Registry().get("receipt").render(Excerpt(passages=(text,)), {})
    shown = Message(role="user", content=user.content, pictures=pictures)
    return Request(model=model, messages=(system, shown), max_output_tokens=512)


def run(
    settings: Settings, requests: Sequence[Request], provider: str = "simulator", eyes: Eyes | None = None
) -> tuple[list[Outcome], list[dict[str, Any]]]:
    async def go() -> tuple[list[Outcome], str]:
        async with Simulator(settings, eyes=eyes) as simulator, HttpTransport() as transport:
            endpoint = Endpoint(provider=provider, base_url=simulator.url)
            calls = [ask(endpoint, each, call_id=uuid4(), transport=transport, deadline_s=60) for each in requests]
            return list(await asyncio.gather(*calls)), await asyncio.to_thread(get, f"{simulator.url}/bill")

    outcomes, bill = asyncio.run(go())
    return outcomes, [json.loads(line) for line in bill.splitlines()]


@pytest.fixture(scope="module")
def eyes() -> Iterator[Eyes]:
    """They load their models once."""
    opened = Eyes()
    yield opened
    opened.close()


def value_of(outcome: Outcome) -> dict[str, Any]:
    assert outcome.failure is None
    assert outcome.reply is not None
    value = parse(outcome.reply.text)
    assert isinstance(value, dict)
    return value


@pytest.mark.parametrize("provider", ["simulator", "anthropic"])
def test_a_picture_is_read_counted_and_billed_in_both_shapes(provider: str, eyes: Eyes) -> None:
    asked = request(picture(receipt()))
    (outcome,), (line,) = run(Settings(), [asked], provider, eyes)
    found = value_of(outcome)
    assert (found["company"], found["date"], found["total"]) == ("EXAMPLE TEA HOUSE", "2018-03-09", 12.5)
    assert outcome.reply is not None
    assert line["input_tokens"] == outcome.reply.usage.input_tokens
    estimate = counter_for("sim-small").count_messages(asked.messages)
    assert estimate == pytest.approx(line["input_tokens"], rel=0.02)
    assert line["input_tokens"] <= counter_for("sim-small").most(asked.messages)


def test_what_the_text_says_already_is_not_read_twice(eyes: Eyes) -> None:
    (outcome,), _ = run(Settings(), [request(picture(receipt()), text="\n".join(LINES))], eyes=eyes)
    assert value_of(outcome)["total"] == 12.5


def failure_of(asked: Request, provider: str, eyes: Eyes) -> Failure:
    (outcome,), bill = run(Settings(), [asked], provider, eyes)
    assert bill == []
    assert outcome.failure is not None
    return outcome.failure


@pytest.mark.parametrize("provider", ["simulator", "anthropic"])
def test_refusals_are_those_of_providers(provider: str, eyes: Eyes) -> None:
    blind = failure_of(request(picture(receipt()), model="sim-text"), provider, eyes)
    assert (blind.kind, blind.repair, blind.code) == (
        "bad_request",
        Repair(action="no_images"),
        "invalid_request_error",
    )
    small = receipt(size=(40, 40))
    many = failure_of(request(*[picture(small, page) for page in range(1, 22)]), provider, eyes)
    broken = failure_of(request(Picture(**(vars(picture(small)) | {"content": b"no picture"}))), provider, eyes)
    large = failure_of(request(picture(receipt(size=(2700, 100)))), provider, eyes)
    for failure in (many, broken, large):
        assert failure.kind == "bad_request"
        assert failure.repair is None


def test_text_is_still_read_by_a_model_without_eyes(eyes: Eyes) -> None:
    (outcome,), _ = run(Settings(), [request(model="sim-text", text="\n".join(LINES))], eyes=eyes)
    assert value_of(outcome)["total"] == 12.5


def test_misread_changes_one_digit_and_blind_sees_nothing(eyes: Eyes) -> None:
    shown = request(picture(receipt()))
    (plain, misled, blind), _ = (
        [run(Settings(faults=each), [shown], eyes=eyes)[0][0] for each in ({}, {"misread": 1.0}, {"blind": 1.0})],
        None,
    )
    right, wrong, made_up = map(value_of, (plain, misled, blind))
    changed = [name for name in right if right[name] != wrong[name]]
    assert len(changed) == 1
    assert len(str(right[changed[0]])) == len(str(wrong[changed[0]]))
    assert made_up == Registry().get("receipt").example
    (text,), _ = run(Settings(faults={"misread": 1.0, "blind": 1.0}), [request(text="\n".join(LINES))], eyes=eyes)
    assert value_of(text) == right


def test_a_misread_value_is_of_the_same_kind() -> None:
    value = {"date": "2018-03-09", "total": 12.5, "count": 10, "name": "Room 7", "none": None, "yes": True}
    for draw in (at / 50 for at in range(50)):
        other = misread(value, draw)
        (name,) = [name for name in value if other[name] != value[name]]
        assert type(other[name]) is type(value[name])
        assert sum(a != b for a, b in zip(str(other[name]), str(value[name]), strict=True)) == 1
    assert misread({"name": "no digits"}, 0.5) == {"name": "no digits"}
