"""What a statement of an account, or of a till, says: its bookings, with balances that run."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from docmill.parsing import Grounded, Running

Amount = Annotated[Decimal, Grounded()]


class Booking(BaseModel):
    booked_on: Annotated[date, Grounded()]
    text: Annotated[str, Grounded()] = Field(description="What the booking says")
    amount: Amount = Field(description="Below zero for what leaves the account")
    balance: Amount | None = Field(None, description="After this booking, where it is stated")


class Output(BaseModel):
    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "account": "DE12 3456",
                    "holder": "Sample Library",
                    "currency": "EUR",
                    "opening_balance": 100.0,
                    "closing_balance": 91.5,
                    "bookings": [
                        {"booked_on": "2024-02-01", "text": "Envelopes", "amount": -8.5, "balance": 91.5}
                    ],
                }
            ]
        }
    )

    account: Annotated[str, Grounded()] | None = Field(None, description="Number of the account or till")
    holder: Annotated[str, Grounded()] | None = Field(None, description="Whose account it is")
    currency: str | None = Field(None, description="ISO 4217, three letters", pattern="^[A-Z]{3}$")
    opening_balance: Amount | None = Field(None, description="Opening balance, before the first booking")
    closing_balance: Amount | None = Field(None, description="Closing balance, after the last booking")
    bookings: Annotated[
        list[Booking],
        Running("balance", adds="amount", opens="opening_balance", closes="closing_balance"),
    ]
