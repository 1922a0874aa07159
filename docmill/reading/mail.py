"""E-mail (RFC 5322 and MIME) to text: who wrote to whom, about what, the body, and what was attached."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from email import policy
from email.errors import MessageError
from email.message import EmailMessage
from email.parser import BytesParser

from docmill.errors import Unreadable
from docmill.reading.attachments import attached
from docmill.reading.cleaning import clean
from docmill.reading.decoding import decode
from docmill.reading.html import text_of
from docmill.reading.media import EMAIL
from docmill.reading.values import Limits, Reading, reading_of, require_length, warned

_SHOWN = ("From", "To", "Cc", "Date", "Subject")
_ENCRYPTED = frozenset({"multipart/encrypted", "application/pgp-encrypted"})
_PKCS7 = frozenset({"application/pkcs7-mime", "application/x-pkcs7-mime"})


@dataclass(kw_only=True)
class _Letter:
    """What has been found of one message so far."""

    bodies: list[str] = field(default_factory=list)
    attachments: list[str] = field(default_factory=list)


def read_body(body: bytes, *, charset: str | None, limits: Limits) -> Reading:
    """A message as text; messages attached to it follow it.

    Raises Unreadable: encrypted, unsupported (a body of binary data), too_large (length, or parts in parts).
    """
    if not body.strip():
        return reading_of("", EMAIL, warnings=[warned("no_text")])
    message = BytesParser(policy=policy.default).parsebytes(body)
    text = clean(_render(message, charset, limits, limits.max_depth))
    require_length(len(text), limits)
    return reading_of(text, EMAIL)


def _render(message: EmailMessage, charset: str | None, limits: Limits, depth: int) -> str:
    letter = _Letter()
    _collect(message, letter, charset, limits, depth)
    sections = ["\n".join(_headers(message)), *letter.bodies, *letter.attachments]
    return "\n\n".join(section.strip("\r\n") for section in sections if section.strip())


def _headers(message: EmailMessage) -> Iterator[str]:
    for name in _SHOWN:
        value = _header(message, name)
        if value:
            yield f"{name}: {value}"


def _header(message: EmailMessage, name: str) -> str:
    try:
        value = message.get(name)
    except (ValueError, LookupError, AttributeError, TypeError, MessageError):
        # The standard library's header parser trips over some that are malformed; then they are shown as sent.
        value = next((raw for key, raw in message.raw_items() if key.lower() == name.lower()), None)
    return " ".join(str(value).split()) if value is not None else ""


def _collect(part: EmailMessage, letter: _Letter, charset: str | None, limits: Limits, depth: int) -> None:
    """Adds to ``letter`` what one part, and the parts within it, have to say."""
    if depth <= 0:
        raise Unreadable(
            "too_large", f"the message nests more than {limits.max_depth} parts: submit what is inside by itself"
        )
    kind = part.get_content_type()
    _require_open(part, kind)
    if kind == "message/rfc822":
        letter.bodies.extend(_attached_messages(part, charset, limits, depth))
    elif part.is_multipart():
        for child in _worth_reading(part, kind):
            _collect(child, letter, charset, limits, depth - 1)
    else:
        _collect_leaf(part, kind, letter, charset, limits)


def _require_open(part: EmailMessage, kind: str) -> None:
    sealed = kind in _PKCS7 and part.get_param("smime-type", "enveloped-data") == "enveloped-data"
    if kind in _ENCRYPTED or sealed:
        raise Unreadable("encrypted", "the message is encrypted")


def _attached_messages(part: EmailMessage, charset: str | None, limits: Limits, depth: int) -> Iterator[str]:
    for message in _children(part):
        yield "Attached message:\n" + _render(message, charset, limits, depth - 1)


def _children(part: EmailMessage) -> list[EmailMessage]:
    payload = part.get_payload()
    return [child for child in payload if isinstance(child, EmailMessage)] if isinstance(payload, list) else []


def _worth_reading(part: EmailMessage, kind: str) -> list[EmailMessage]:
    """The parts that are not another wording of one that is read."""
    children = _children(part)
    if kind != "multipart/alternative":
        return children
    # Plain text is what its writer's program made of the same words, without a guess at layout of ours.
    plain = [child for child in children if child.get_content_type() == "text/plain" and _payload(child).strip()]
    return plain[:1] or children[-1:]


def _collect_leaf(part: EmailMessage, kind: str, letter: _Letter, charset: str | None, limits: Limits) -> None:
    name = _file_name(part)
    if name is None and kind in {"text/plain", "text/html"}:
        decoded = decode(_payload(part), _charset(part) or charset)
        letter.bodies.append(text_of(decoded.text, limits) if kind == "text/html" else decoded.text)
    elif kind not in {"application/pgp-signature", "application/pkcs7-signature"}:
        letter.attachments.append(attached(name, kind, _payload(part), limits))


def _file_name(part: EmailMessage) -> str | None:
    name = part.get_filename()
    if name is None and part.get_content_disposition() == "attachment":
        return "without a name"
    return None if name is None else " ".join(str(name).split())


def _payload(part: EmailMessage) -> bytes:
    payload = part.get_payload(decode=True)
    return payload if isinstance(payload, bytes) else b""


def _charset(part: EmailMessage) -> str | None:
    charset = part.get_param("charset")
    return charset if isinstance(charset, str) else None
