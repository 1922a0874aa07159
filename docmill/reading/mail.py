"""E-mail (RFC 5322 and MIME) to text: who wrote to whom, about what, the body, and what was attached."""

from __future__ import annotations

import base64
import codecs
import io
import quopri
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from email.generator import BytesGenerator
from email.message import EmailMessage

from docmill.errors import Unreadable
from docmill.reading.attachments import attached
from docmill.reading.cleaning import clean
from docmill.reading.cms import signed_content
from docmill.reading.decoding import decode
from docmill.reading.headers import parsed, shown
from docmill.reading.html import text_of
from docmill.reading.media import EMAIL
from docmill.reading.values import Limits, Reading, WarningKind, reading_of, require_length, warned, warnings_of

_SHOWN = ("From", "To", "Cc", "Bcc", "Date", "Subject")
_MESSAGES = frozenset({"message/rfc822", "message/global", "message/news"})
_MARKUP = frozenset({"text/html", "text/x-amp-html"})
_WORDINGS = _MARKUP | {"text/plain"}
"""Kinds of parts that are the mail's own text."""
_ENCRYPTED = frozenset({"multipart/encrypted", "application/pgp-encrypted"})
_PKCS7 = frozenset({"application/pkcs7-mime", "application/x-pkcs7-mime"})
_SIGNATURES = frozenset(
    {"application/pgp-signature", "application/pkcs7-signature", "application/x-pkcs7-signature"}
)
_WORD = re.compile(r"\w+")
MOST_COMPARED = 16
"""Wordings of one message; nobody writes so many, and each is compared with each."""
_FOLD = re.compile(r"\r?\n[ \t]")


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
    unread: Counter[WarningKind] = Counter()
    reader = _MailReader(limits=limits, unread=unread)
    text = clean(reader.render(_parsed(body), charset, limits.max_depth))
    require_length(len(text), limits)
    return reading_of(text, EMAIL, warnings=warnings_of(unread))


def _parsed(body: bytes) -> EmailMessage:
    """The message, also behind a mark of its encoding or an empty line, at which its headers would end."""
    return parsed(body.removeprefix(codecs.BOM_UTF8).lstrip())


@dataclass(frozen=True, kw_only=True)
class _MailReader:
    """Reads one message, and those within it."""

    limits: Limits
    unread: Counter[WarningKind]

    def render(self, message: EmailMessage, charset: str | None, depth: int) -> str:
        """Returns the headers, the body and what is attached."""
        letter = _Letter()
        self._collect(message, letter, charset, depth)
        sections = ["\n".join(_headers(message, charset)), *letter.bodies, *letter.attachments]
        return "\n\n".join(section.strip("\r\n") for section in sections if section.strip())

    def _collect(self, part: EmailMessage, letter: _Letter, charset: str | None, depth: int) -> None:
        """Adds to ``letter`` what one part, and the parts within it, have to say."""
        if depth <= 0:
            raise Unreadable(
                "too_large",
                f"the message nests more than {self.limits.max_depth} parts: submit what is inside by itself",
            )
        kind = part.get_content_type()
        if kind in _ENCRYPTED:
            raise Unreadable("encrypted", "the message is encrypted")
        if kind in _PKCS7:
            letter.bodies.append(self.render(_signed(part), charset, depth - 1))
        elif kind in _MESSAGES and part.is_multipart():
            for message in _attached_messages(part):
                letter.bodies.append("Attached message:\n" + self.render(message, charset, depth - 1))
        elif kind == "multipart/alternative" and part.is_multipart():
            self._collect_wordings(_children(part), letter, charset, depth)
        elif kind.startswith("message/"):
            letter.bodies.append(_report(part))
        elif part.is_multipart():
            for child in _children(part):
                self._collect(child, letter, charset, depth - 1)
        else:
            self._collect_leaf(part, kind, letter, charset)

    def _collect_wordings(
        self, parts: Sequence[EmailMessage], letter: _Letter, charset: str | None, depth: int
    ) -> None:
        """Of several wordings each that is not the same text as another one; what is attached to any of them."""
        wordings: list[str] = []
        for part in parts:
            inner = _Letter()
            self._collect(part, inner, charset, depth - 1)
            wordings.append("\n\n".join(body.strip("\r\n") for body in inner.bodies if body.strip()))
            letter.attachments += inner.attachments
        letter.bodies += different(wordings)

    def _collect_leaf(self, part: EmailMessage, kind: str, letter: _Letter, charset: str | None) -> None:
        name = _file_name(part)
        if kind in _SIGNATURES:
            return
        # Parts that their mail does not part: its boundary is missing.
        if kind == "text/calendar" or kind.startswith("multipart/") or (name is None and kind in _WORDINGS):
            decoded = decode(_payload(part), _charset(part) or charset)
            letter.bodies.append(self._words(decoded.text, kind))
            return
        self.unread["picture"] += kind.startswith("image/")
        letter.attachments.append(attached(name, kind, _payload(part), self.limits, self.unread))

    def _words(self, text: str, kind: str) -> str:
        if kind in _MARKUP:
            return text_of(text, self.limits, self.unread)
        # Lines of a calendar are folded: what begins with a space goes on (RFC 5545, section 3.1).
        return _FOLD.sub("", text) if kind == "text/calendar" else text


def different(wordings: Sequence[str]) -> list[str]:
    """Returns the wordings without those whose words another one has as well.

    Of two that say the same the first stays, which is the plain one: it is what its writer's program made of the
    same words, without a guess at layout of ours.
    """
    distinct = [wording for wording in dict.fromkeys(wordings) if wording]
    if len(distinct) > MOST_COMPARED:
        return distinct
    words = [frozenset(_WORD.findall(wording.casefold())) for wording in distinct]
    kept: list[int] = []
    for place, mine in enumerate(words):
        if any(_says_all(words[other], mine) for other in kept):
            continue
        if any(_says_all(other, mine) and not _says_all(mine, other) for other in words[place + 1 :]):
            continue
        kept.append(place)
    return [distinct[place] for place in kept]


def _says_all(text: frozenset[str], words: frozenset[str]) -> bool:
    """Whether a text has the words of another: every one with a digit, and nearly all others."""
    missing = words - text
    return len(missing) <= len(words) // 10 and not any(any(map(str.isdigit, word)) for word in missing)


def _headers(message: EmailMessage, charset: str | None) -> Iterator[str]:
    for name in _SHOWN:
        value = _header(message, name, charset)
        if value:
            yield f"{name}: {value}"


def _header(message: EmailMessage, name: str, charset: str | None) -> str:
    raw = next((str(value) for key, value in message.raw_items() if key.lower() == name.lower()), "")
    # Sent as bytes without a word about their encoding: the body's is the likeliest.
    return shown(raw) if raw.isascii() else shown(raw, _body_charset(message) or charset)


def _body_charset(message: EmailMessage) -> str | None:
    return next((found for found in map(_charset, message.walk()) if found is not None), None)


def _signed(part: EmailMessage) -> EmailMessage:
    """The message within a signed one. Raises Unreadable (encrypted) where it is no signed one."""
    content = signed_content(_payload(part))
    if content is None:
        raise Unreadable("encrypted", "the message is encrypted")
    return _parsed(content)


def _attached_messages(part: EmailMessage) -> list[EmailMessage]:
    """The messages of a part, which may be encoded although the standard forbids it."""
    encoding = str(part.get("content-transfer-encoding", "")).strip().lower()
    messages = _children(part)
    if encoding not in ("base64", "quoted-printable") or len(messages) != 1:
        return messages
    written = io.BytesIO()
    BytesGenerator(written).flatten(messages[0])
    encoded = written.getvalue().lstrip()
    try:
        decoded = base64.b64decode(encoded) if encoding == "base64" else quopri.decodestring(encoded)
    except ValueError:
        return messages
    return [_parsed(decoded)] if decoded.strip() else messages


def _report(part: EmailMessage) -> str:
    """What a server or a program says of a mail, in lines like headers: that it came back, or was read."""
    groups = _children(part) or [part]
    said = [*("\n".join(f"{name}: {shown(str(value))}" for name, value in group.raw_items()) for group in groups)]
    said += [str(group.get_payload()) for group in groups if not group.is_multipart()]
    return "\n\n".join(filter(None, (words.strip() for words in said)))


def _children(part: EmailMessage) -> list[EmailMessage]:
    payload = part.get_payload()
    return [child for child in payload if isinstance(child, EmailMessage)] if isinstance(payload, list) else []


def _file_name(part: EmailMessage) -> str | None:
    name = part.get_filename()
    if name is None and part.get_content_disposition() == "attachment":
        return "without a name"
    return None if name is None else shown(name)


def _payload(part: EmailMessage) -> bytes:
    payload = part.get_payload(decode=True)
    return payload if isinstance(payload, bytes) else b""


def _charset(part: EmailMessage) -> str | None:
    charset = part.get_param("charset")
    return charset if isinstance(charset, str) else None
