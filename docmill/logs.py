"""Logs: one event a line, JSON unless a person watches; never a document's text, a reply or a key, at any level.

Messages of exceptions may quote all three, so an error is told by its type and its places in the code.
"""

from __future__ import annotations

import logging
import sys
from types import TracebackType
from typing import TypeAlias

import structlog

from docmill.redaction import redacted
from docmill.settings import Settings
from docmill.visible import visible
from docmill.whereabouts import where

__all__ = ["configure_commands_logs", "configure_logs", "where"]

ExcInfo: TypeAlias = tuple[type[BaseException], BaseException, TracebackType | None]

CHATTY = (
    "alembic",
    "celery.app.trace",
    "celery.worker.strategy",
    "h11",
    "httpcore",
    "httpx",
    "psycopg",
    "python_multipart",
    "sqlalchemy",
)
"""They tell every task, request, statement or row with what is in it, and are quiet at every level; docmill's own
events say more."""


def configure_logs(settings: Settings) -> None:
    """The log lines of Celery and of servers come in the same shape as docmill's."""
    as_json = settings.log_json if settings.log_json is not None else not sys.stderr.isatty()
    level = logging.getLevelNamesMapping()[settings.log_level.upper()]
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        places_only,
        harmless,
    ]
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer() if as_json else structlog.dev.ConsoleRenderer()
    )
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler()
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level)
    for name in CHATTY:
        logging.getLogger(name).setLevel(max(level, logging.WARNING))


def configure_commands_logs() -> None:
    """Has what happens while a command works told on stderr, in nobody's way who reads its output."""
    structlog.configure(
        processors=[
            structlog.stdlib.add_log_level,
            places_only,
            harmless,
            structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty()),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING),
        logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),
        cache_logger_on_first_use=False,  # who calls a command in its own process may have another stderr later
    )


def places_only(_logger: object, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Takes an exception out of an event, and puts in where it came from."""
    told = event.pop("exc_info", None)
    error = told if isinstance(told, BaseException) else told[1] if isinstance(told, tuple) else None
    if told is True:
        error = sys.exc_info()[1]
    if error is not None:
        event["where"] = where(error)
    return event


def harmless(_logger: object, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """An event is one line, whatever is in it, and holds no secret of an address."""
    return {name: redacted(visible(value)) if isinstance(value, str) else value for name, value in event.items()}
