"""Telling what kind of file bytes are."""

from __future__ import annotations

import pytest

from docmill.reading.media import DOCX, EMAIL, HTML, OLE, PDF, PLAIN, XML, ZIP, charset, is_text, media_type

MAIL = b"From: a@example.com\r\nTo: b@example.com\r\nSubject: hello\r\n\r\nhello\r\n"


@pytest.mark.parametrize(
    ("head", "name", "kind"),
    [
        (b"%PDF-1.7\n", "invoice.txt", PDF),
        (b"HTTP/1.1 200 OK\r\n\r\n%PDF-1.5\n", "a.pdf", PDF),
        (b"the header is %PDF-1.5", "notes.txt", PLAIN),
        (b"\x89PNG\r\n\x1a\n", "scan.pdf", "image/png"),
        (b"RIFF\0\0\0\0WEBPVP8 ", "", "image/webp"),
        (b"no header", "a.PDF", PDF),
        (b"PK\x03\x04", "a.docx", DOCX),
        (b"PK\x03\x04", "a.pdf", ZIP),
        (b"PK\x03\x04", "", ZIP),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "a.docx", DOCX),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "a.doc", "application/msword"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "a.txt", OLE),
        (b"<!DOCTYPE html><p>x", "page.txt", HTML),
        (b"<!-- saved -->\n<HTML>", "", HTML),
        ("\ufeff<html>".encode("utf-16-le"), "", HTML),
        (b"<p>fragment", "a.htm", HTML),
        (b"<p>fragment", "", PLAIN),
        (b'<?xml version="1.0"?><!DOCTYPE html><html xmlns="x">', "", HTML),
        (b'<?xml version="1.0"?><a/>', "a.txt", XML),
        (MAIL, "", EMAIL),
        (MAIL, "message.txt", PLAIN),
        (b"From: me\nTo: you\nhello", "", PLAIN),
        (b"Note: first\nTo: you\nSubject: x\n\n", "", PLAIN),
        (b"x", "a.eml", EMAIL),
        (b"a,b", "a.CSV", "text/csv"),
        (b"{}", "a.json", "application/json"),
        (b"", "", PLAIN),
    ],
)
def test_bytes_come_before_names(head: bytes, name: str, kind: str) -> None:
    assert media_type(head, name) == kind


@pytest.mark.parametrize(
    ("declared", "kind"),
    [
        ("text/html; charset=utf-8", HTML),
        ("application/xhtml+xml", HTML),
        ("application/octet-stream", "text/csv"),
        ("text/plain", "text/csv"),
        (None, "text/csv"),
    ],
)
def test_a_declaration_comes_before_the_name_unless_it_says_nothing(declared: str | None, kind: str) -> None:
    assert media_type(b"a,b", "a.csv", declared) == kind


def test_the_charset_of_a_declaration() -> None:
    assert charset('text/html; x=1; Charset="koi8-r"') == "koi8-r"
    assert charset("text/html") is None
    assert charset(None) is None


def test_textual_kinds() -> None:
    assert all(map(is_text, ["text/plain", "text/csv", "application/json"]))
    assert not any(map(is_text, [HTML, PDF, XML, EMAIL]))
