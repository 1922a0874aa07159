"""What an invoice says."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, model_validator

from docmill.parsing import Grounded

Amount = Annotated[Decimal, Grounded()]

TOLERANCE = Decimal("0.02")
"""What rounding may take or give on each line, and on the taxes."""


class Line(BaseModel):
    name: Annotated[str, Grounded()] = Field(description="What is billed")
    quantity: Amount | None = None
    line_total: Amount | None = Field(None, description="Amount of this line; below zero for a discount")


class Output(BaseModel):
    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "invoice_number": "2024-117",
                    "issue_date": "2024-02-01",
                    "due_date": "2024-03-01",
                    "seller_name": "Example Paper Works",
                    "buyer_name": "Sample Library",
                    "currency": "EUR",
                    "lines": [
                        {"name": "Envelopes", "quantity": 2, "line_total": 8.0},
                        {"name": "Shipping", "quantity": None, "line_total": 2.0},
                    ],
                    "net_total": 10.0,
                    "tax_total": 1.9,
                    "grand_total": 11.9,
                }
            ]
        }
    )

    invoice_number: Annotated[str, Grounded()]
    issue_date: Annotated[date, Grounded()]
    due_date: Annotated[date, Grounded()] | None = Field(None, description="The day by which to pay")
    seller_name: Annotated[str, Grounded()] = Field(description="Who bills")
    buyer_name: Annotated[str, Grounded()] | None = Field(None, description="Who is billed")
    currency: str = Field(description="ISO 4217, three letters", pattern="^[A-Z]{3}$")
    lines: list[Line]
    net_total: Amount | None = Field(None, description="Total before tax")
    tax_total: Amount | None = Field(None, description="All taxes, if their sum is named")
    grand_total: Amount = Field(description="What is to be paid")

    @model_validator(mode="after")
    def totals_add_up(self) -> Output:
        if self.net_total is None or self.tax_total is None:
            return self
        if abs(self.net_total + self.tax_total - self.grand_total) > TOLERANCE:
            raise ValueError("net_total and tax_total do not add up to grand_total")
        return self

    @model_validator(mode="after")
    def lines_add_up(self) -> Output:
        """To the total before tax, or with it, as the seller states prices; unless a line's amount is unknown."""
        amounts = [line.line_total for line in self.lines]
        known = [amount for amount in amounts if amount is not None]
        if not amounts or len(known) < len(amounts):
            return self
        totals = [total for total in (self.net_total, self.grand_total) if total is not None]
        if all(abs(sum(known) - total) > TOLERANCE * len(known) for total in totals):
            raise ValueError(
                "the amounts of lines add up to neither net_total nor grand_total: read them again, discounts and"
                " shipping among them, and put null for an amount that cannot be told"
            )
        return self

    @model_validator(mode="after")
    def due_is_not_before_issue(self) -> Output:
        if self.due_date is not None and self.due_date < self.issue_date:
            raise ValueError("due_date is before issue_date")
        return self
