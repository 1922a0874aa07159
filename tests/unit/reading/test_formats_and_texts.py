"""What a file is, and which characters its bytes mean."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from docmill.errors import Unreadable
from docmill.reading.formats import media_type
from docmill.reading.texts import decoded, tidy


@pytest.mark.parametrize(
    ("body", "name", "kind"),
    [
        (b"%PDF-1.7\n", "a.txt", "application/pdf"),
        (b"junk before\n%PDF-1.4", None, "application/pdf"),
        (b"  <!DOCTYPE html><p>", "a", "text/html"),
        (b"<!-- note --><html>", None, "text/html"),
        (b"<p>part", "a.html", "text/html"),
        (b"a,b", "a.csv", "text/csv"),
        (b"Hello", "a.unknown", "text/plain"),
    ],
)
def test_content_decides_before_the_name(body: bytes, name: str | None, kind: str) -> None:
    assert media_type(body, name) == kind


@pytest.mark.parametrize(
    ("body", "name", "kind", "words"),
    [
        (b"\x89PNG\r\n", "scan.png", "unsupported", "PNG image"),
        (b"PK\x03\x04", "a.docx", "unsupported", "docmill reads text, HTML and PDF"),
        (b"Hello", "a.pdf", "corrupt", "named a PDF"),
    ],
)
def test_what_no_reader_takes_is_named(body: bytes, name: str, kind: str, words: str) -> None:
    with pytest.raises(Unreadable, match=words) as caught:
        media_type(body, name)
    assert caught.value.kind == kind


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_marked_encodings_and_utf_8(encoding: str) -> None:
    assert decoded("Grüße, 12 €".encode(encoding)) == "Grüße, 12 €"


def test_an_old_encoding_is_guessed() -> None:
    text = "Sehr geehrte Damen und Herren, für die Lieferung berechnen wir Ihnen größere Beträge. " * 5
    assert decoded(text.encode("cp1252")) == text


@pytest.mark.parametrize("body", [bytes(range(256)) * 8, b"\x00\x01\x02\x03" * 100])
def test_binary_junk_is_no_text(body: bytes) -> None:
    with pytest.raises(Unreadable) as caught:
        decoded(body)
    assert caught.value.kind == "unsupported"


def test_half_a_character_after_a_mark_is_corrupt() -> None:
    with pytest.raises(Unreadable) as caught:
        decoded(b"\xff\xfea\x00b")
    assert caught.value.kind == "corrupt"


@given(st.binary())
def test_any_bytes_are_text_or_unreadable(body: bytes) -> None:
    try:
        text = tidy(decoded(body))
    except Unreadable:
        return
    assert "\x00" not in text
    assert "\r" not in text
