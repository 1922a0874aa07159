"""OpenDocument texts to text."""

from __future__ import annotations

from zipfile import BadZipFile

from lxml.etree import LxmlError
from odfdo import Document

from docmill.errors import Unreadable
from docmill.reading.archives import require_archive
from docmill.reading.cleaning import clean
from docmill.reading.media import ODT
from docmill.reading.values import Limits, Reading, reading_of, require_length


def read_body(body: bytes, *, charset: str | None, limits: Limits) -> Reading:  # noqa: ARG001 - formats share a shape
    """The document's text. Raises Unreadable: encrypted, corrupt, too_large."""
    archive = require_archive(body)
    if b"manifest:encryption-data" in body:
        raise Unreadable("encrypted", "it is locked with a password: submit it without one")
    try:
        text = clean(str(Document(archive).get_formatted_text()))
    except (LxmlError, BadZipFile, KeyError, ValueError, TypeError, AttributeError) as error:
        raise Unreadable(
            "corrupt", f"it is no whole OpenDocument text ({type(error).__name__}): save it again"
        ) from error
    require_length(len(text), limits)
    return reading_of(text, ODT)
