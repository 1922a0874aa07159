"""What a reader is allowed to use, and what it hands back."""

from __future__ import annotations

from dataclasses import dataclass

from docmill.errors import Unreadable

MEGABYTE = 2**20


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How much one document may cost before it is refused."""

    max_bytes: int = 50 * MEGABYTE
    """Of the file itself."""
    max_text_chars: int = 20_000_000
    """Of the text that comes out."""
    max_pages: int = 2000
    max_depth: int = 500
    """Of elements within elements in HTML, and of parts within parts in a message."""
    timeout_s: float = 30.0
    """Wall clock for one document, after which its process is killed."""
    ocr: bool = False
    """Whether tesseract may guess the text of pictures and of scanned pages."""
    memory_bytes: int = 512 * MEGABYTE
    """Of address space, beyond what the reading process held before the document."""


DEFAULT_LIMITS = Limits()


@dataclass(frozen=True, kw_only=True)
class Reading:
    """A document as text: line ends are ``\\n``, and it holds nothing that Postgres cannot keep."""

    text: str
    pages: tuple[int, ...] = ()
    """Where each page starts in ``text``; none where the format knows no pages. An empty page starts where
    the next one does, or at the end."""
    media_type: str
    empty: bool
    """True where nothing can be read in it: no bytes, white space only, a blank page, or a scan."""
    warning: str | None = None
    """What the text leaves out or only guesses, as a sentence for whoever relies on it."""


def reading_of(text: str, media_type: str, *, pages: tuple[int, ...] = (), warning: str | None = None) -> Reading:
    """A reading whose emptiness is seen from its text."""
    empty = not text.strip()
    return Reading(text=text, pages=pages, media_type=media_type, empty=empty, warning=warning)


def require_length(chars: int, limits: Limits) -> None:
    """Raises Unreadable (too_large) where a text is longer than allowed."""
    if chars > limits.max_text_chars:
        raise Unreadable("too_large", f"the text has more than {limits.max_text_chars:,} characters")
