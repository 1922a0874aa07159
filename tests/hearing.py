"""Hearing of each statement that goes through an engine, whoever sends it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psycopg
from sqlalchemy import Engine, event

__all__ = ["hear"]


def hear(
    engine: type[Engine] | Engine,
    *,
    before: Callable[[str, Any], object] = lambda _sql, _values: None,
    after: Callable[[str, Any], object] = lambda _sql, _values: None,
) -> Callable[[], None]:
    """Calls ``before`` and ``after`` around each statement, with its text and its values; returns what ends it."""

    class Heard(psycopg.Cursor[Any]):
        def execute(self, query: Any, params: Any = None, **options: Any) -> Any:
            if on:
                before(query, params)
            result = super().execute(query, params, **options)
            if on:
                after(query, params)
            return result

        def executemany(self, query: Any, params_seq: Any, **options: Any) -> None:
            values = list(params_seq)
            if on:
                before(query, values[0])
            super().executemany(query, values, **options)
            if on:
                after(query, values[0])

    def set_up(connection: psycopg.Connection[Any], *_: object) -> None:
        connection.cursor_factory = Heard

    on = [True]
    event.listen(engine, "connect", set_up)
    event.listen(engine, "checkout", set_up)
    return on.clear
