"""Where an error comes from, in words that may stand in logs: its message may not, which may quote a document."""

from __future__ import annotations

import traceback
from collections.abc import Iterator

__all__ = ["Elsewhere", "where"]

CAUSES = 3
FRAMES = 3


class Elsewhere(Exception):
    """An error that another process came upon; its one argument is what :func:`where` said of it there."""

    @property
    def place(self) -> str:
        return str(self)


def where(error: BaseException) -> str:
    """An error's type and its last lines of code, and those of what caused it. Not its message: that may quote a
    document."""
    return "; caused by ".join(_place(each) for each in _causes(error))


def _causes(error: BaseException) -> Iterator[BaseException]:
    current: BaseException | None = error
    for _ in range(CAUSES):
        if current is None:
            return
        yield current
        current = current.__cause__ or (None if current.__suppress_context__ else current.__context__)


def _place(error: BaseException) -> str:
    if isinstance(error, Elsewhere):
        return error.place
    frames = traceback.extract_tb(error.__traceback__)[-FRAMES:]
    places = " < ".join(f"{frame.filename.rpartition('/')[2]}:{frame.lineno}" for frame in reversed(frames))
    return f"{type(error).__name__} at {places}" if places else type(error).__name__
