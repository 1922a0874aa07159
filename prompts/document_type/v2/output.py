"""What kind of document it is."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from docmill.parsing import Grounded


class Output(BaseModel):
    model_config = ConfigDict(
        json_schema_extra={"examples": [{"label": "invoice", "words": ["Invoice No", "due"]}]}
    )

    label: Literal[
        "invoice",
        "credit_note",
        "receipt",
        "nda",
        "contract",
        "email",
        "research_abstract",
        "encyclopedia",
        "financial_report",
        "customer_message",
    ]
    words: list[Annotated[str, Grounded()]] = Field(
        min_length=1, max_length=5, description="Words of the document that gave it away"
    )

    @field_validator("words")
    @classmethod
    def words_are_distinct(cls, words: list[str]) -> list[str]:
        if len({word.casefold() for word in words}) < len(words):
            raise ValueError("a word is named twice")
        return words
