"""A few sentences, each with the place it rests on."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, field_validator

from docmill.parsing import Grounded


class Sentence(BaseModel):
    text: str = Field(min_length=1, max_length=600)
    quote: Annotated[str, Grounded()] = Field(min_length=1, description="Copied word for word from the document")


class Output(BaseModel):
    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"sentences": [{"text": "The bridge opened late.", "quote": "the bridge opened in May"}]}]
        }
    )

    sentences: list[Sentence] = Field(min_length=1, max_length=7)

    @field_validator("sentences")
    @classmethod
    def sentences_are_distinct(cls, sentences: list[Sentence]) -> list[Sentence]:
        if len({sentence.text.casefold() for sentence in sentences}) < len(sentences):
            raise ValueError("a sentence stands there twice")
        return sentences
