"""What a till receipt says."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, field_validator

from docmill.parsing import Grounded

FIRST_YEAR = 1980
"""Older till receipts are misread dates."""


class Output(BaseModel):
    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "company": "EXAMPLE TEA HOUSE",
                    "address": "1 Sample Street",
                    "date": "2018-03-09",
                    "total": 12.5,
                    "currency": None,
                }
            ]
        }
    )

    company: Annotated[str, Grounded()] = Field(description="The shop")
    address: Annotated[str, Grounded()] | None = Field(None, description="The shop's address, as it stands there")
    date: Annotated[date, Grounded()]
    total: Annotated[Decimal, Grounded()] = Field(description="What the customer had to pay")
    currency: str | None = Field(
        None, description="ISO 4217, three letters, if the receipt names it", pattern="^[A-Z]{3}$"
    )

    @field_validator("total")
    @classmethod
    def total_is_not_negative(cls, total: Decimal) -> Decimal:
        if total < 0:
            raise ValueError("total is below zero")
        return total

    @field_validator("date")
    @classmethod
    def date_is_plausible(cls, day: date) -> date:
        if day.year < FIRST_YEAR:
            raise ValueError(f"the date is before {FIRST_YEAR}")
        return day
