"""A log line tells where something broke, and never what was said."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import pytest
import structlog

from docmill.logs import CHATTY, configure_commands_logs, configure_logs, where
from docmill.settings import Settings
from docmill.whereabouts import Elsewhere

Lines: TypeAlias = Callable[[], list[dict[str, Any]]]

SECRET = "zanzibarquill"


@pytest.fixture
def lines() -> Iterator[Lines]:
    root = logging.getLogger()
    before, level, quiet = root.handlers, root.level, {name: logging.getLogger(name).level for name in CHATTY}
    configure_logs(Settings(log_level="debug", log_json=True))
    written = io.StringIO()
    (handler,) = root.handlers
    assert isinstance(handler, logging.StreamHandler)
    handler.setStream(written)
    yield lambda: [json.loads(line) for line in written.getvalue().splitlines()]
    root.handlers, root.level = before, level
    for name, kept in quiet.items():
        logging.getLogger(name).setLevel(kept)
    structlog.reset_defaults()


def broken() -> Exception:
    try:
        try:
            raise ValueError(f"quotes {SECRET}")
        except ValueError as error:
            raise RuntimeError(f"quotes {SECRET} too") from error
    except RuntimeError as error:
        return error


def test_an_error_is_told_by_type_and_place_whoever_logs_it(lines: Lines) -> None:
    error = broken()
    structlog.get_logger().error("ours", exc_info=error)
    logging.getLogger("celery.worker").error("theirs", exc_info=error)
    try:
        raise error
    except RuntimeError:
        structlog.get_logger().exception("caught")
        logging.getLogger("kombu.connection").exception("in a library")
    told = lines()
    assert [line["event"] for line in told] == ["ours", "theirs", "caught", "in a library"]
    for line in told:
        assert line["where"].startswith("RuntimeError at test_logs.py:")
        assert "caused by ValueError at test_logs.py:" in line["where"]
        assert SECRET not in json.dumps(line)


def test_what_libraries_tell_of_contents_is_silent_at_every_level(lines: Lines) -> None:
    for name in CHATTY:
        logging.getLogger(f"{name}.some.part").debug(SECRET)
        logging.getLogger(name).info(SECRET)
    structlog.get_logger().debug("ours")
    assert [line["event"] for line in lines()] == ["ours"]


def test_an_error_that_was_never_raised_has_no_place() -> None:
    assert where(ValueError(SECRET)) == "ValueError"


@pytest.mark.parametrize("as_json", [True, False])
def test_an_event_is_one_line_without_secrets_whoever_logs_it(lines: Lines, as_json: bool) -> None:
    configure_logs(Settings(log_level="debug", log_json=as_json))
    written = io.StringIO()
    (handler,) = logging.getLogger().handlers
    assert isinstance(handler, logging.StreamHandler)
    handler.setStream(written)
    forged = 'a\n{"event": "forged"}\r\x1b[2J\u2028postgresql://me:sesame@db/x'
    structlog.get_logger().warning("ours", file=forged)
    structlog.get_logger().warning(forged)
    logging.getLogger("celery.worker").error("theirs %s", forged)
    told = written.getvalue()
    assert len(told.splitlines()) == 3
    assert "sesame" not in told
    assert "\x1b[2J" not in told
    assert "me:***@db" in told


def test_a_commands_events_go_to_stderr_without_what_an_error_quotes(capsys: pytest.CaptureFixture[str]) -> None:
    configure_commands_logs()
    text_of_a_document = "secret words"
    try:
        raise ValueError(text_of_a_document)
    except ValueError:
        structlog.get_logger().exception("broke")
    structlog.get_logger().info("of no use to a person")
    structlog.reset_defaults()
    told = capsys.readouterr()
    assert told.out == ""
    assert "broke" in told.err
    assert "ValueError at test_logs.py" in told.err
    assert text_of_a_document not in told.err
    assert "of no use" not in told.err


def test_an_error_of_another_process_is_told_by_its_place_there() -> None:
    try:
        raise RuntimeError("words") from Elsewhere("KeyError at output.py:3")
    except RuntimeError as error:
        told = where(error)
    assert told.startswith("RuntimeError at test_logs.py:")
    assert told.endswith("; caused by KeyError at output.py:3")
