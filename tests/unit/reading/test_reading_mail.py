"""E-mail to text."""

from __future__ import annotations

import base64
import quopri
from email.message import EmailMessage

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from docmill.errors import Unreadable
from docmill.reading.cms import signed_content
from docmill.reading.mail import different, read_body
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


def test_plain_text_is_preferred_to_html_that_says_the_same() -> None:
    message = letter()
    message.add_alternative("<p>Please pay <b>5 €</b>.</p>", subtype="html")
    assert text(message.as_bytes()).endswith("\n\nPlease pay 5 €.")


@pytest.mark.parametrize(
    ("wordings", "kept"),
    [
        (["a b c", "a b c"], ["a b c"]),
        (["See HTML.", "See HTML. Total 310.40 EUR."], ["See HTML. Total 310.40 EUR."]),
        (["open it elsewhere", "Total 310.40 EUR"], ["open it elsewhere", "Total 310.40 EUR"]),
        (["Total 310.40", "Total 301.40"], ["Total 310.40", "Total 301.40"]),
        (["", "x"], ["x"]),
        ([], []),
    ],
)
def test_of_wordings_all_that_is_not_the_same_text_is_kept(wordings: list[str], kept: list[str]) -> None:
    assert different(wordings) == kept


@given(st.lists(st.text("ab1 \n", max_size=12), max_size=4))
def test_no_word_with_a_digit_is_lost_between_wordings(wordings: list[str]) -> None:
    words = {word for wording in wordings for word in wording.split() if "1" in word}
    assert words <= {word for wording in different(wordings) for word in wording.split()}


def test_what_is_attached_to_any_wording_and_an_invitation_are_read() -> None:
    message = letter("See below.")
    message.add_alternative("<p>See below.</p>", subtype="html")
    message.add_alternative("BEGIN:VEVENT\r\nLOCATION:Do\r\n ck 4\r\nEND:VEVENT\r\n", subtype="calendar")
    html = message.get_payload(1)
    assert isinstance(html, EmailMessage)
    html.add_attachment("item,amount\nchair,310.40\n", subtype="csv", filename="invoice.csv")
    found = text(message.as_bytes())
    assert "LOCATION:Dock 4" in found
    assert "chair,310.40" in found
    assert found.count("See below.") == 1


@pytest.mark.parametrize("before", [b"\n", b"\r\n", b"\xef\xbb\xbf", b"\xef\xbb\xbf\r\n"])
def test_a_mark_or_an_empty_line_before_the_headers_does_not_end_them(before: bytes) -> None:
    assert text(before + letter().as_bytes()) == text(letter().as_bytes())


@pytest.mark.parametrize("encoding", ["base64", "quoted-printable"])
def test_an_attached_message_that_is_encoded_is_read(encoding: str) -> None:
    inner = letter("Total 310.40 EUR").as_bytes()
    encoded = base64.encodebytes(inner) if encoding == "base64" else quopri.encodestring(inner)
    head = (
        "From: a@example.com\nSubject: Fwd\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\n\n--b\n"
    )
    part = f"Content-Type: message/rfc822\nContent-Transfer-Encoding: {encoding}\n\n"
    assert "Total 310.40 EUR" in text(head.encode() + part.encode() + encoded + b"\n--b--\n")


@pytest.mark.parametrize(("charset", "raw"), [("iso-8859-1", b"M\xe4rz"), ("utf-8", "März".encode())])
def test_a_subject_sent_as_bytes_is_in_the_encoding_of_the_body(charset: str, raw: bytes) -> None:
    mail = b"From: a@example.com\nSubject: " + raw + f"\nContent-Type: text/plain; charset={charset}\n\nx".encode()
    assert "Subject: März" in text(mail)


def octets(content: bytes, *, in_pieces: bool) -> bytes:
    if not in_pieces:
        return bytes([0x04, len(content)]) + content
    pieces = b"".join(bytes([0x04, 1, byte]) for byte in content)
    return b"\x24\x80" + pieces + b"\0\0"


def element(tag: int, content: bytes) -> bytes:
    return bytes([tag, 0x82]) + len(content).to_bytes(2, "big") + content


def signed(content: bytes, *, in_pieces: bool) -> bytes:
    data = element(0x06, bytes.fromhex("2a864886f70d010701")) + element(0xA0, octets(content, in_pieces=in_pieces))
    inner = element(0x30, b"\x02\x01\x01" + element(0x31, b"") + element(0x30, data) + element(0x31, b""))
    return element(0x30, element(0x06, bytes.fromhex("2a864886f70d010702")) + element(0xA0, inner))


@pytest.mark.parametrize("in_pieces", [False, True])
def test_a_signed_message_is_read_and_an_encrypted_one_is_not(in_pieces: bool) -> None:
    def mail(content: bytes) -> bytes:
        head = b"From: a@example.com\nContent-Type: application/pkcs7-mime\nContent-Transfer-Encoding: base64\n\n"
        return head + base64.encodebytes(content)

    assert "total 310.40" in text(mail(signed(b"Subject: x\n\ntotal 310.40", in_pieces=in_pieces)))
    with pytest.raises(Unreadable) as caught:
        text(mail(b"\x30\x80\x00\x00"))
    assert caught.value.kind == "encrypted"


@given(st.binary(max_size=300))
def test_no_bytes_break_the_search_for_signed_content(message: bytes) -> None:
    assert signed_content(message) is None or isinstance(signed_content(message), bytes)
    assert signed_content(signed(b"x", in_pieces=True)[: len(message)]) in (None, b"x")


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
