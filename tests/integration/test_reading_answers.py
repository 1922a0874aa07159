"""A child that was taken over, or broke, and answers what it likes."""

from __future__ import annotations

import sys

import pytest

from docmill.apart.frames import MAX_HEADER
from docmill.errors import Unreadable
from docmill.reading import Limits, Reader, process

LYING = """
import os, struct, sys
from docmill.apart import frames
from docmill.reading.messages import Greeting, encode
frames.send(1, encode(Greeting(uid=1, network=False)))
while True:
    frames.receive(0, max_body=2**40)
    {answer}
"""
LENGTHS = "struct.pack('>IQ', {}, {})"


@pytest.mark.parametrize(
    "answer",
    [
        "sys.exit(0)",
        "os.write(1, b'garbage without any end' * 100)",
        f"os.write(1, {LENGTHS.format(MAX_HEADER + 1, 0)})",
        f"os.write(1, {LENGTHS.format(2, 2**60)})",
        "frames.send(1, b'[' * 100_000)",
        "frames.send(1, b'')",
        "frames.send(1, b'{}', b'\\xff')",
        "frames.send(1, b'{}', b'NUL: \\0')",
        "frames.send(1, b'{\"pages\": [9]}', b'short')",
        'frames.send(1, b\'{"unreadable": "by decree"}\')',
    ],
)
def test_an_answer_that_is_none_makes_the_document_unreadable(
    answer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "COMMAND", (sys.executable, "-c", LYING.format(answer=answer)))
    with Reader() as reader, pytest.raises(Unreadable) as caught:
        reader.read_bytes(b"a text")
    assert caught.value.kind == "corrupt"


@pytest.mark.parametrize("answer", ["import time; time.sleep(60)", "os.write(1, b'\\0')"])
def test_a_child_that_does_not_answer_is_not_waited_for(answer: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "COMMAND", (sys.executable, "-c", LYING.format(answer=answer)))
    with Reader(Limits(timeout_s=0.5)) as reader, pytest.raises(Unreadable) as caught:
        reader.read_bytes(b"a text")
    assert caught.value.kind == "timeout"


def test_a_refusal_s_words_can_be_stored(monkeypatch: pytest.MonkeyPatch) -> None:
    answer = r"""frames.send(1, b'{"unreadable": "corrupt", "message": "\\u0000"}')"""
    monkeypatch.setattr(process, "COMMAND", (sys.executable, "-c", LYING.format(answer=answer)))
    with Reader() as reader, pytest.raises(Unreadable, match=r"\\u0000"):
        reader.read_bytes(b"a text")
