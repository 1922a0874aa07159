"""What a non-disclosure agreement says."""

from __future__ import annotations

from datetime import date
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, field_validator

from docmill.parsing import Grounded


class Output(BaseModel):
    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "parties": ["Example Works Ltd", "Sample Systems Inc."],
                    "effective_date": "2012-05-04",
                    "governing_law": "Delaware",
                    "term": "two years",
                }
            ]
        }
    )

    parties: list[Annotated[str, Grounded()]] = Field(min_length=2, description="All parties, by name")
    effective_date: Annotated[date, Grounded()] | None = Field(None, description="The day from which it binds")
    governing_law: Annotated[str, Grounded()] | None = Field(None, description="State or country")
    term: Annotated[str, Grounded()] | None = Field(None, description="How long it binds")

    @field_validator("parties")
    @classmethod
    def parties_are_distinct(cls, parties: list[str]) -> list[str]:
        if len({party.casefold() for party in parties}) < len(parties):
            raise ValueError("a party is named twice")
        return parties
