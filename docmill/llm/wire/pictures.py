"""Pictures as parts of a message: each shape has its own (docs/providers.md, section 11.1).

A picture goes as base64, so that the request stands for itself: an address could show something else tomorrow.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from typing import Any

from docmill.llm.types import Message, Picture

__all__ = ["base64_of", "data_url", "parts_of"]


def base64_of(picture: Picture) -> str:
    """The picture's bytes as text. Raises ValueError for one whose bytes were not fetched."""
    if not picture.content:
        raise ValueError(f"the picture of page {picture.page} was not fetched before its call")
    return base64.b64encode(picture.content).decode()


def data_url(picture: Picture) -> str:
    return f"data:{picture.media_type};base64,{base64_of(picture)}"


def parts_of(
    message: Message,
    *,
    text: Callable[[str], Mapping[str, Any]],
    picture: Callable[[Picture], Mapping[str, Any]],
    text_first: bool = False,
) -> list[dict[str, Any]]:
    """The message's parts: its text, and each picture behind its label, as the shape writes them."""
    pictures = [dict(part) for each in message.pictures for part in (text(each.label), picture(each))]
    said = [dict(text(message.content))]
    return [*said, *pictures] if text_first else [*pictures, *said]
