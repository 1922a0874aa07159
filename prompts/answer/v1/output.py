"""An answer with the passages that it rests on."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, model_validator

from docmill.parsing import Citation


class Output(BaseModel):
    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "answered": True,
                    "answer": "The bridge opens at noon.",
                    "citations": [{"passage": 2, "quote": "it is opened each day at 12 o'clock"}],
                }
            ]
        }
    )

    answered: bool = Field(description="Whether the passages hold the answer")
    answer: str | None = Field(description="In the question's language; null where the passages do not hold it")
    citations: list[Citation] = Field(max_length=20, description="What the answer rests on")

    @model_validator(mode="after")
    def an_answer_has_citations_and_a_refusal_none(self) -> Output:
        if self.answered and not (self.answer and self.answer.strip() and self.citations):
            raise ValueError("an answer needs its words and at least one citation, or answered is false")
        if not self.answered and (self.answer is not None or self.citations):
            raise ValueError("what is not answered has no answer and no citations")
        return self
