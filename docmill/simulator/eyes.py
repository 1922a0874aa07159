"""The simulated model's eyes: pictures in a request, what they count, why they are refused, and what they say.

They are read by OCR, as docmill reads scans, and counted by a rule of the simulator's own, in whole numbers.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import io
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from cachetools import LRUCache
from PIL import Image, UnidentifiedImageError

from docmill.errors import Unreadable
from docmill.reading import Limits, Reader
from docmill.reading.engines import installed
from docmill.reading.ocr import tesseract

__all__ = ["BLIND_MODELS", "Eyes", "NoPicture", "Shown", "objection", "pictures_in", "seen_in", "tokens_of"]

BLIND_MODELS = frozenset({"sim-text"})
MOST_PICTURES = 20
MOST_BYTES = 10_000_000
"""Of one picture as base64."""
MOST_DOTS = 2600
"""Of a side."""
BASE_TOKENS, DOTS_A_TOKEN = 60, 900
KINDS = {"PNG": "image/png", "JPEG": "image/jpeg", "GIF": "image/gif", "WEBP": "image/webp"}
MOST_READ = 1000
"""Pictures whose words are kept: the same page is asked about again and again."""
EYES = 2
"""Processes that read, which take a core each."""
ALIKE = 0.5
"""Of a picture's words: so many in the text beside it, and the text says the same."""


class NoPicture(ValueError):
    """What stands where a picture belongs is none."""


@dataclass(frozen=True, kw_only=True)
class Shown:
    """A picture of a request."""

    content: bytes = field(repr=False)
    width: int
    height: int
    place: str
    """In the request, as providers name it in their errors."""
    whole: bool = False
    """Whether one that is too large is to be refused, and not made smaller."""


def pictures_in(messages: Sequence[Mapping[str, Any]]) -> tuple[Shown, ...]:
    """Every picture of the messages, in order, in OpenAI's shape or Anthropic's. Raises NoPicture."""
    return tuple(
        shown
        for at, message in enumerate(messages)
        if isinstance(message.get("content"), list)
        for number, part in enumerate(message["content"])
        if (shown := _shown(part, f"messages.[{at}].content.[{number}]")) is not None
    )


def _shown(part: Mapping[str, Any], place: str) -> Shown | None:
    if part.get("type") == "image_url":
        given = part["image_url"]
        url = str(given["url"] if isinstance(given, dict) else given)
        head, _, data = url.partition(";base64,")
        if not head.startswith("data:image/"):
            raise NoPicture(f"{place}: the simulator fetches no addresses: send a data URL")
        return _opened(data, f"{place}.type")
    if part.get("type") == "image":
        whole = (part.get("transformations") or {}).get("oversized_image") == "error"
        return _opened(str(part["source"]["data"]), place.translate(NO_BRACKETS), part["source"], whole=whole)
    return None


NO_BRACKETS = str.maketrans("", "", "[]")


def _opened(data: str, place: str, source: Mapping[str, Any] | None = None, *, whole: bool = False) -> Shown:
    try:
        content = base64.b64decode(data, validate=True)
        with Image.open(io.BytesIO(content)) as picture:
            (width, height), kind = picture.size, KINDS.get(picture.format or "")
    except (binascii.Error, UnidentifiedImageError, OSError, ValueError, SyntaxError) as error:
        raise NoPicture(place) from error
    if kind is None or (source is not None and source.get("media_type") != kind):
        raise NoPicture(place)
    return Shown(content=content, width=width, height=height, place=place, whole=whole)


def tokens_of(pictures: Sequence[Shown]) -> int:
    """Returns what pictures count: a base each, and a token for each so many dots."""
    return sum(BASE_TOKENS - -(each.width * each.height) // DOTS_A_TOKEN for each in pictures)


def objection(pictures: Sequence[Shown]) -> tuple[str, str] | None:
    """Returns what is wrong with the pictures: ``many``, ``bytes`` or ``dots``, and where or how."""
    if len(pictures) > MOST_PICTURES:
        return "many", str(MOST_PICTURES)
    for each in pictures:
        if len(each.content) * 4 / 3 > MOST_BYTES:
            return "bytes", each.place
        if max(each.width, each.height) > MOST_DOTS:
            return "dots", each.place
    return None


class Eyes:
    """Reads pictures, two at a time, and remembers what they said. Safe for threads."""

    def __init__(self) -> None:
        self._readers: list[Reader | None] = [None] * EYES
        self._free = threading.BoundedSemaphore(EYES)
        self._read: LRUCache[str, str] = LRUCache(MOST_READ)
        self._lock = threading.Lock()

    def read(self, pictures: Sequence[Shown]) -> tuple[str, ...]:
        """Reads the words of each picture. Raises Unreadable where there is no engine."""
        return tuple(map(self._words, pictures))

    def _words(self, picture: Shown) -> str:
        key = hashlib.sha256(picture.content).hexdigest()
        with self._free:
            with self._lock:
                known = self._read.get(key)
                reader = None if known is not None else self._readers.pop()
            if known is not None:
                return str(known)
            try:
                reader = reader or Reader(_limits())
                words = _looked_at(reader, picture)
            finally:
                with self._lock:
                    self._readers.append(reader)
            with self._lock:
                self._read[key] = words
            return words

    def close(self) -> None:
        for reader in self._readers:
            if reader is not None:
                reader.close()


def _looked_at(reader: Reader, picture: Shown) -> str:
    try:
        return reader.read_bytes(picture.content).text
    except Unreadable as error:
        if error.kind == "unsupported":
            raise
        return ""  # a model that cannot make anything out says so by its answer


def _limits() -> Limits:
    if installed():
        return Limits(ocr=True)
    if tesseract.found() is not None:
        return Limits(ocr=True, ocr_engine="tesseract")
    raise Unreadable("unsupported", "the simulator reads pictures by OCR, which is not installed")


def seen_in(document: str, read: Sequence[str]) -> str:
    """Returns what a model has before it: the text, and what pictures say that the text does not."""
    known = set(document.split())
    new = [words for words in read if not _mostly(words.split(), known)]
    return "\n".join(filter(None, (document, *new)))


def _mostly(words: Sequence[str], known: set[str]) -> bool:
    return sum(word in known for word in words) > ALIKE * len(words) if words else True
