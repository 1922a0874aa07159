"""A mail's headers as a person reads them."""

from __future__ import annotations

from email.header import Header

import pytest
from hypothesis import given
from hypothesis import strategies as st

from docmill.reading.headers import LONGEST, parsed, shown


@pytest.mark.parametrize(
    ("sent", "read"),
    [
        ("plain words", "plain words"),
        ("=?utf-8?q?Rechnung_f=C3=BCr_M=C3=A4rz?=", "Rechnung für März"),
        ("=?UTF-8?B?UmVjaG51bmc=?=", "Rechnung"),
        ("=?UTF-8?B?UmVjaG51bmc?=", "Rechnung"),
        ("=?utf-8?q?a?= =?utf-8?q?b?=", "ab"),
        ("=?utf-8?q?a?=\n =?utf-8?q?b?= c", "ab c"),
        ("=?utf-8?q?=C3?= =?utf-8?q?=BC?=", "ü"),
        ("=?utf-8?q?=C3=BC?= =?iso-8859-1?q?=FC?=", "üü"),
        ("=?utf-8*de?q?J=C3=B6rg?= <j@example.com>", "Jörg <j@example.com>"),
        ('"Doe, Jane" <j@example.com>, b@example.com', '"Doe, Jane" <j@example.com>, b@example.com'),
        ("=?no-such?q?a?=", "a"),
        ("=?utf-8?x?a?=", "=?utf-8?x?a?="),
        ("=?utf-8?b?Y?=", "=?utf-8?b?Y?="),
        ("=?utf-8?q?a", "=?utf-8?q?a"),
        ("=?utf-8?q?a=0AFrom:_b?=", "a From: b"),
        ("folded\n\tover lines", "folded over lines"),
    ],
)
def test_encoded_words_are_decoded(sent: str, read: str) -> None:
    assert shown(sent) == read


@given(st.text(st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp", "Zs"), min_codepoint=0xA1), min_size=1))
def test_what_a_mail_program_encodes_comes_back(text: str) -> None:
    assert shown(Header(text, "utf-8").encode()) == text


@given(st.binary())
def test_no_bytes_break_a_header(sent: bytes) -> None:
    shown(sent.decode("ascii", "surrogateescape"))
    message = parsed(b"Subject: " + sent + b"\n\nbody")
    message.get_content_type()
    message.get_filename()


def test_a_name_is_read_in_each_of_its_encodings() -> None:
    for written in (
        b'filename="Rechnung \xc3\xbc.pdf"',
        b"filename*=utf-8''Rechnung%20%C3%BC.pdf",
        b"filename*0*=utf-8''Rechnung; filename*1*=%20%C3%BC.pdf",
        b'filename="=?utf-8?q?Rechnung_=C3=BC=2Epdf?="',
    ):
        message = parsed(b"Content-Disposition: attachment; " + written + b"\n\n")
        assert shown(str(message.get_filename())) == "Rechnung ü.pdf"


def test_a_header_of_packing_is_looked_at_up_to_a_bound() -> None:
    message = parsed(b"Content-Type: text/html; " + b"a=b;" * 1_000_000 + b"\n\nbody")
    assert message.get_content_type() == "text/html"
    assert len(str(message["content-type"])) == LONGEST
