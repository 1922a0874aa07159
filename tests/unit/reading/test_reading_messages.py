"""What a child answers is checked before it is believed."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from docmill.reading.messages import Answer, Garbled, Greeting, Request, decode, encode, read_request
from docmill.reading.values import LONGEST_PLACE, MOST_PLACES, Limits, warned
from docmill.storable import is_storable


@pytest.mark.parametrize(
    "message",
    [
        Greeting(uid=65534, network=True),
        Answer(media_type="text/plain", pages=(0, 7), warnings=(warned("page_broken", ["page 2"]),), last=True),
        Answer(unreadable="corrupt", message="no PDF"),
    ],
)
def test_a_message_arrives_as_it_was_sent(message: Greeting | Answer) -> None:
    assert decode(type(message), encode(message)) == message


def test_a_request_arrives_as_it_was_sent() -> None:
    request = Request(name="ä.pdf", media_type="", limits=Limits(ocr=True, timeout_s=0.5), page=3, compact=True)
    assert read_request(encode(request)) == request


def among(names: set[str], work: str) -> str:
    """Those of the modules that a child for this work holds."""
    code = f"import sys; from docmill.reading import child; child._load({work!r}); print({names!r} & {{*sys.modules}})"
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout


@pytest.mark.parametrize("work", ["texts", "parse"])
def test_a_child_holds_no_pydantic(work: str) -> None:
    """Ten megabytes, as long as the process lives."""
    assert among({"pydantic", "pydantic_core", "asyncio", "httpx"}, work) == "set()\n"


def test_who_reads_texts_holds_no_other_parser() -> None:
    assert among({"PIL", "pypdfium2", "pillow_heif", "python_calamine"}, "texts") == "set()\n"


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
        b'{"media_type": "' + b"x" * 201 + b'"}',
        b'{"layout_bytes": -1}',
        b'{"rss_bytes": -1}',
        b'{"scans": [-1]}',
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
