"""What a child answers is checked before it is believed."""

from __future__ import annotations

import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from docmill.reading.messages import Answer, Garbled, Greeting, Request, decode, encode
from docmill.reading.values import LONGEST_PLACE, MOST_PLACES, Limits, warned
from docmill.storable import is_storable


@pytest.mark.parametrize(
    "message",
    [
        Greeting(uid=65534, network=True),
        Request(name="a.pdf", media_type="", limits=Limits(ocr=True, timeout_s=0.5)),
        Answer(media_type="text/plain", pages=(0, 7), warnings=(warned("page_broken", ["page 2"]),), last=True),
        Answer(unreadable="corrupt", message="no PDF"),
    ],
)
def test_a_message_arrives_as_it_was_sent(message: Greeting | Request | Answer) -> None:
    assert decode(type(message), encode(message)) == message


@pytest.mark.parametrize(
    "header",
    [
        b"",
        b"null",
        b"[" * 100_000,
        b'{"pages": [-1]}',
        b'{"pages": "0"}',
        b'{"rss_bytes": 1e400}',
        b'{"unreadable": "because"}',
        b'{"message": "' + b"x" * 10_001 + b'"}',
        b'{"warnings": [{"kind": "no_such"}]}',
        b'{"warnings": [' + b",".join([b'{"kind": "no_text"}'] * 1001) + b"]}",
    ],
)
def test_what_is_no_answer_is_garbled(header: bytes) -> None:
    with pytest.raises(Garbled):
        decode(Answer, header)


@given(st.binary() | st.recursive(st.none() | st.booleans() | st.text(), st.lists).map(json.dumps).map(str.encode))
def test_any_bytes_are_an_answer_or_garbled(header: bytes) -> None:
    with suppress(Garbled):
        assert isinstance(decode(Answer, header), Answer)


@pytest.mark.parametrize(
    ("pages", "text"),
    [((), b"\xff"), ((), b"a\0b"), ((), b"\xed\xa0\x80"), ((5,), b"four"), ((3, 1), b"pages that go back")],
)
def test_a_text_that_cannot_be_kept_is_garbled(pages: tuple[int, ...], text: bytes) -> None:
    with pytest.raises(Garbled):
        Answer(pages=pages).reading(text)


def test_what_a_warning_names_is_bounded_and_storable() -> None:
    header = json.dumps({"warnings": [{"kind": "page_broken", "count": 3, "where": ["\0" * 999] * 999}]}).encode()
    (warning,) = decode(Answer, header).reading(b"").warnings
    assert len(warning.where) == MOST_PLACES
    assert all(is_storable(place) and len(place) <= LONGEST_PLACE for place in warning.where)
