"""E-mail to text."""

from __future__ import annotations

from email.message import EmailMessage

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from docmill.errors import Unreadable
from docmill.reading.mail import read_body
from docmill.reading.values import DEFAULT_LIMITS, Limits


def letter(body: str = "Please pay 5 €.\n") -> EmailMessage:
    message = EmailMessage()
    message["From"] = "Hélène <h@example.com>"
    message["To"] = "b@example.com"
    message["Subject"] = "Rechnung für März"
    message["Date"] = "Fri, 16 Dec 2022 17:04:16 -0500"
    message["X-Spam"] = "no"
    message.set_content(body)
    return message


def text(raw: bytes) -> str:
    return read_body(raw, charset=None, limits=DEFAULT_LIMITS).text


def test_headers_and_body() -> None:
    assert text(letter().as_bytes()) == (
        "From: Hélène <h@example.com>\nTo: b@example.com\nDate: Fri, 16 Dec 2022 17:04:16 -0500\n"
        "Subject: Rechnung für März\n\nPlease pay 5 €."
    )


def test_plain_text_is_preferred_to_html() -> None:
    message = letter()
    message.add_alternative("<p>Please pay <b>5 €</b> in HTML.</p>", subtype="html")
    assert text(message.as_bytes()).endswith("\n\nPlease pay 5 €.")


def test_html_is_read_where_the_plain_part_is_blank() -> None:
    message = letter("  \n")
    message.add_alternative("<p>Please&nbsp;pay</p><script>x</script>", subtype="html")
    assert text(message.as_bytes()).endswith("\n\nPlease\xa0pay") or text(message.as_bytes()).endswith(
        "Please pay"
    )


def test_attachments_are_read_where_they_can_be_and_named_in_any_case() -> None:
    message = letter()
    message.add_attachment(b"%PDF-1.4", maintype="application", subtype="pdf", filename="Rechnung.pdf")
    message.add_attachment("a,b", subtype="csv", filename="list.csv")
    found = text(message.as_bytes())
    assert "Attachment: Rechnung.pdf (application/pdf; not read: the PDF is broken" in found
    assert found.endswith("Attachment: list.csv (text/csv)\n\na,b")


def test_attached_messages_are_read() -> None:
    message = letter("See below.\n")
    message.add_attachment(letter("The inner body.\n"))
    assert "Attached message:\nFrom: Hélène" in text(message.as_bytes())
    assert text(message.as_bytes()).endswith("The inner body.")


@pytest.mark.parametrize(
    "headers",
    [
        b'Content-Type: multipart/encrypted; boundary=x; protocol="application/pgp-encrypted"',
        b"Content-Type: application/pkcs7-mime; smime-type=enveloped-data",
    ],
)
def test_an_encrypted_message_is_refused(headers: bytes) -> None:
    raw = b"From: a@example.com\r\n" + headers + b"\r\n\r\n--x\r\n\r\nabc\r\n--x--\r\n"
    with pytest.raises(Unreadable) as caught:
        text(raw)
    assert caught.value.kind == "encrypted"


def test_malformed_headers_are_shown_as_sent() -> None:
    raw = b"From: a@@example..com <\r\nTo: =?utf-8?Q?broken\r\nDate: INVALID\r\nSubject: \xe9t\xe9\r\n\r\nbody\r\n"
    shown = text(raw)
    assert "Date: INVALID" in shown
    assert shown.endswith("body")


def test_an_unknown_charset_is_guessed_around() -> None:
    raw = b"Subject: x\r\nContent-Type: text/plain; charset=no-such\r\n\r\nM\xfcller bezahlt\r\n"
    assert text(raw).endswith("Müller bezahlt")


def test_a_blank_message_is_empty() -> None:
    assert read_body(b"  \r\n \n", charset=None, limits=DEFAULT_LIMITS).empty


def test_parts_within_parts_have_a_limit() -> None:
    depth = 12
    opening = b"".join(
        b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (i, i) for i in range(depth)
    )
    with pytest.raises(Unreadable) as caught:
        read_body(opening + b"\r\nhello", charset=None, limits=Limits(max_depth=10))
    assert caught.value.kind == "too_large"


LINES = st.lists(
    st.sampled_from(
        [
            b"From: a@b.c",
            b"Subject: =?utf-8?B?####?=",
            b"Subject: =?utf-7?Q?+APw-?=",
            b"Date: (((",
            b"To: \xff\xfe, <<>>, =?x?=",
            b"Content-Type: multipart/mixed; boundary=b",
            b"Content-Type: multipart/alternative; boundary=b",
            b"Content-Type: text/html; charset*=utf-8''x%ff",
            b"Content-Type: message/rfc822",
            b"Content-Type: ;;=",
            b"Content-Disposition: attachment; filename*0*=%E9; filename*1=x",
            b"Content-Transfer-Encoding: base64",
            b"Content-Transfer-Encoding: x-uuencode",
            b"--b",
            b"--b--",
            b"",
            b"begin 644 x",
            b"aGVsbG8",
            b"<p>hello",
        ]
    ),
    max_size=14,
)


@settings(max_examples=300, deadline=None)
@given(LINES)
def test_wild_messages_become_text_or_are_refused(lines: list[bytes]) -> None:
    try:
        text(b"\r\n".join(lines)).encode()
    except Unreadable as error:
        assert error.kind in {"unsupported", "too_large", "encrypted"}
