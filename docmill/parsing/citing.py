"""Citations of numbered passages: each quote stands in the passage that it names.

The passages are handed in as pydantic's context ``{"passages": […]}``; without them nothing is checked.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Self

from pydantic import BaseModel, Field, ValidationInfo, model_validator
from pydantic_core import PydanticCustomError

from docmill.parsing.grounding import Document

__all__ = ["Citation", "cited"]


class Citation(BaseModel):
    """What an answer rests on: words of a passage."""

    passage: int = Field(ge=1, description="The number of the passage")
    quote: str = Field(min_length=1, description="Copied from that passage, word for word")

    @model_validator(mode="after")
    def stands_in_its_passage(self, info: ValidationInfo) -> Self:
        passages: Sequence[Document] | None = (info.context or {}).get("passages")
        if passages is None:
            return self
        if self.passage > len(passages):
            raise PydanticCustomError("not_grounded", "there is no passage of that number: cite one that is there")
        if not (any(map(str.isalnum, self.quote)) and passages[self.passage - 1].holds(self.quote)):
            raise PydanticCustomError(
                "not_grounded", "the quote does not stand in the passage of that number: copy it word for word"
            )
        return self


def cited(value: object, passages: Sequence[Document], place: str = "") -> Iterator[tuple[str, int, int, int]]:
    """For each citation in an answer's JSON its place, its passage's index, and where in that its quote stands."""
    if isinstance(value, list):
        for at, item in enumerate(value):
            yield from cited(item, passages, f"{place}.{at}" if place else str(at))
    elif isinstance(value, Mapping):
        yield from _span(value, passages, place)
        for name, member in value.items():
            yield from cited(member, passages, f"{place}.{name}" if place else name)


def _span(
    value: Mapping[str, object], passages: Sequence[Document], place: str
) -> Iterator[tuple[str, int, int, int]]:
    number, quote = value.get("passage"), value.get("quote")
    if isinstance(number, int) and isinstance(quote, str) and 1 <= number <= len(passages):
        span = passages[number - 1].find(quote)
        if span is not None:
            yield f"{place}.quote", number - 1, *span
