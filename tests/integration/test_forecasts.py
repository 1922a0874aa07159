"""The load as the ledger shows it, and how a forecast did."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from uuid import uuid4

import pytest
from sqlalchemy import Connection, Engine, text

from db import forecasts
from docmill.money import Load, forecast

TODAY = date(2001, 2, 1)


def add_call(
    connection: Connection, day: date, *, model: str = "m", state: str = "answered", remedy: str = ""
) -> None:
    connection.execute(
        text(
            "insert into calls (id, purpose, attempt, try, state, tenant, feature, usr, input_hash, provider, account,"
            " model, input_tokens, output_tokens, cost_usd, remedy, started_at)"
            " values (:id, 'first', 0, 1, :state, 't', 'f', '', '', 'p', 'a', :model, 1000, 10, 0.5, :remedy, :at)"
        ),
        {
            "id": uuid4(),
            "state": state,
            "model": model,
            "remedy": remedy or None,
            "at": datetime(day.year, day.month, day.day, 12, tzinfo=UTC),
        },
    )


def test_the_load_is_measured_from_the_ledger(engine: Engine) -> None:
    with engine.connect() as connection:
        for back, requests in ((3, 4), (1, 2)):
            for _ in range(requests):
                add_call(connection, TODAY - timedelta(days=back))
        add_call(connection, TODAY - timedelta(days=1), state="cached")
        add_call(connection, TODAY - timedelta(days=1), remedy="correct")
        add_call(connection, TODAY - timedelta(days=1), remedy="next_model", model="strong")
        add_call(connection, TODAY)
        found = forecasts.measured(connection, timezone="UTC", today=TODAY, days=90)
        none = forecasts.measured(connection, timezone="UTC", today=date(2000, 1, 1), days=90)
        connection.rollback()
    assert none is None
    assert found is not None
    assert list(found.requests_per_day) == [4, 0, 3]
    assert (found.model, found.stronger) == ("m", "strong")
    assert found.cache_hit_rate == pytest.approx(1 / 7)
    assert found.retry_rate == found.escalation_rate == pytest.approx(1 / 6)


def test_a_forecast_is_held_against_what_was_spent_since(engine: Engine) -> None:
    load = Load(requests_per_day=10, input_tokens=1000, output_tokens=10, input_price=1, output_price=1)
    with engine.connect() as connection:
        kept = forecasts.keep(connection, forecast(load), {"requests_per_day": 10})
        connection.execute(
            text("update forecasts set made_at = clock_timestamp() - interval '3 days' where id = :id"),
            {"id": kept},
        )
        before = forecasts.score(connection)
        add_call(connection, datetime.now(UTC).date() - timedelta(days=1))
        found = forecasts.score(connection)
        connection.rollback()
    assert before is not None
    assert found is not None
    assert found.spent - before.spent == Decimal("0.5")
    assert found.days == pytest.approx(3, abs=0.01)
    assert found.p50 == pytest.approx(forecast(load).month.p50 / 10, rel=Decimal("0.01"))
