"""Documents of every kind, broken in every way: each has a text, or is unreadable for a reason with a name."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from docmill.errors import Unreadable
from docmill.reading import Limits, Reader
from docmill.storable import is_storable
from tests.documents import SAMPLES
from tests.fuzz.examples import examples

LIMITS = Limits(timeout_s=20, max_text_chars=2_000_000)
MAGIC = [body[:8] for body in SAMPLES.values()]


@pytest.fixture(scope="module")
def reader() -> Iterator[Reader]:
    with Reader(LIMITS) as made:
        yield made


@st.composite
def broken(draw: st.DrawFn) -> tuple[str, bytes]:
    """A sample with bytes changed, cut, doubled, moved or swapped for those of another; its name may lie."""
    name = draw(st.sampled_from(sorted(SAMPLES)))
    body = bytearray(SAMPLES[name])
    for _ in range(draw(st.integers(0, 6))):
        at = draw(st.integers(0, max(0, len(body) - 1)))
        until = min(len(body), at + draw(st.integers(0, 200)))
        part = draw(
            st.sampled_from(
                [b"", b"\0", b"\xff" * 8, b"\xff\xff\xff\x7f", body[at:until] * 3, bytes(reversed(body[at:until]))]
            )
            | st.binary(max_size=40)
        )
        body[at:until] = part
    if draw(st.booleans()):
        del body[draw(st.integers(0, len(body))) :]
    return draw(st.sampled_from([name, "", "a", *sorted(SAMPLES)])), bytes(body)


def anything() -> st.SearchStrategy[tuple[str, bytes]]:
    """A format's first bytes, and then anything, packed or not."""
    rest = st.binary(max_size=300)
    bodies = st.builds(lambda head, tail: head + tail, st.sampled_from(MAGIC), rest | rest.map(zlib.compress))
    return st.tuples(st.sampled_from(["", *sorted(SAMPLES)]), bodies)


@examples(500)
@given(broken() | anything())
def test_a_broken_document_is_read_or_unreadable_for_a_reason(reader: Reader, document: tuple[str, bytes]) -> None:
    name, body = document
    try:
        reading = reader.read_bytes(body, name=name)
    except Unreadable as error:
        assert error.kind in ("encrypted", "corrupt", "unsupported", "too_large", "timeout")
        assert is_storable(str(error))
    else:
        assert is_storable(reading.text)
        assert list(reading.pages) == sorted(reading.pages)
        assert all(page <= len(reading.text) for page in reading.pages)
