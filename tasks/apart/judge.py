"""The judge apart, as its parent sees it: one child, which a process's threads take turns to ask."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

import structlog

import docmill
from db.jobs import Answer, Job
from docmill.apart.process import Deadline, ProcessApart, ProcessEnded
from docmill.whereabouts import Elsewhere
from prompts import Excerpt, PromptVersion, Registry
from tasks.apart.messages import MOST_BYTES, Content, Garbled, Told, TooLarge, read_answer, write_question
from tasks.stages.checking import question_of
from tasks.verdicts import Verdict

__all__ = ["Broke", "Died", "JudgeApart", "NotNow", "TookLong"]

log = structlog.get_logger()

COMMAND = (sys.executable, "-P", "-m", "tasks.apart.child")
"""The child's; its parent's process id, and where the prompts are, follow."""
TURN_S = 10.0
"""So long a question waits for others', and for a child that is not ready yet."""
ANSWER_S = 10.0
"""So long the child has for an answer, of which it may compute for a second (:mod:`tasks.apart.child`)."""
LEFT_ALONE_S = 600.0
"""So long a prompt's content is not asked about that took longer, or ended the child."""
UNLOADED_S = 60.0
"""So long one is not asked about that did not load: it may come, or be mended."""
SLOW_S = 5.0
LEFT_ALONE_TIMES = 100
"""So many times as long as an answer took that was slow: such checks have a hundredth of everybody's turns."""
START_TIMEOUT_S = 60.0
READY_WITHIN_S = 10.0
"""After so long nobody waits any more for a child to be ready."""
AFTER_FAILURE_S = 10.0
"""Between two tries to start a child."""


class NotNow(Exception):
    """The question was not put to the child, or is none for it: nothing is known of the reply."""


class TookLong(Exception):
    """The prompt's checks took longer than an answer may; the child that was at it is killed."""


class Died(Exception):
    """The child ended while it had the question, or gave an answer that is none: a crash that the reply or the
    prompt's code caused."""


class Broke(Elsewhere):
    """A defect of ours or of the prompt's code: where, and never with what values, which may be a document's."""


class JudgeApart:
    """Judges as :func:`tasks.stages.checking.judge` does, in a child process; safe for threads.

    The verdict is as it would be read from its job's row. The child is started with the first question, or when
    one is on its way. It is replaced when it ends, when it is late, and when it has done enough.
    """

    def __init__(
        self,
        registry: Registry,
        environment: Mapping[str, str],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """The child works with the registry's folders. Its environment is this, and where its modules lie."""
        home = "" if registry.home is None else str(registry.home)
        self._command = (*COMMAND, str(os.getpid()), home, *map(str, registry.folders))
        self._environment = {**environment, "PYTHONPATH": _with_modules(environment.get("PYTHONPATH", ""))}
        self._clock = clock
        self._turn = threading.Lock()
        self._process: ProcessApart | None = None
        self._is_ready = False
        self._started_at = self._not_before = 0.0
        self._left_alone: dict[Content, float] = {}
        """The prompts' contents that took long, ended a child, or did not load, and until when."""
        self._is_closed = False

    def __call__(self, job: Job, prompt: PromptVersion, excerpt: Excerpt, answer: Answer) -> Verdict:
        """The child's verdict. Raises NotNow, TookLong, Died and Broke."""
        content = Content(prompt.name, prompt.version, prompt.content_hash)
        if self._clock() < self._left_alone.get(content, 0.0):
            raise NotNow("the prompt's checks took long, broke, or did not load, a short time ago")
        try:
            header, body = write_question(content, question_of(job, excerpt, answer))
        except TooLarge:
            raise NotNow("the question is too large") from None
        until = time.monotonic() + TURN_S
        if not self._turn.acquire(timeout=TURN_S):
            raise NotNow("others' questions are being asked")
        try:
            told = self._ask(content, header, body, until)
        finally:
            self._turn.release()
        return _verdict(told)

    def get_ready(self) -> None:
        """Starts the child, if there is none, and does not wait for it: a question is on its way."""
        if self._is_there() or not self._turn.acquire(blocking=False):
            return
        try:
            if not self._is_there():
                self._start()
        finally:
            self._turn.release()

    def close(self) -> None:
        """Ends the child; questions after that get NotNow."""
        self._is_closed = True
        with self._turn:
            self._end()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _ask(self, content: Content, header: bytes, body: bytes, until: float) -> Told:
        process = self._ready(until)
        began = time.monotonic()
        try:
            told = read_answer(*process.ask(header, body, max_body=MOST_BYTES, wait=Deadline(ANSWER_S).wait))
        except ProcessEnded as end:
            self._start()
            raise self._explained(end, content) from end
        except Garbled as error:
            self._leave_alone(content, LEFT_ALONE_S)
            self._start()
            raise Died("it gave an answer that is none") from error
        except BaseException:
            self._start()  # an answer that nobody took must not meet the next question
            raise
        took_s = time.monotonic() - began
        if told.unloaded:
            self._leave_alone(content, UNLOADED_S)
        if told.slow or took_s > SLOW_S:
            self._leave_alone(content, LEFT_ALONE_TIMES * took_s)
        if told.last:
            self._start()
        return told

    def _ready(self, until: float) -> ProcessApart:
        """The child, once it has greeted. Raises NotNow."""
        if self._is_closed:
            raise NotNow("the judge is closed")
        if not self._is_there():
            self._start()
        process = self._process
        if self._clock() > self._started_at + READY_WITHIN_S:
            until = 0.0  # it hangs at its start, and nobody need hang with it
        if process is None:
            raise NotNow("the judge's process cannot be started")
        if self._is_ready:
            return process
        if not process.speaks(until):
            if self._clock() > self._started_at + START_TIMEOUT_S:
                self._fail("it is not ready in time")
            raise NotNow("the judge's process is not ready yet")
        try:
            process.greeting(Deadline(ANSWER_S).wait)
        except ProcessEnded as end:
            self._fail(f"it ended at its start with {end.exit_code}")
            raise NotNow("the judge's process cannot be started") from end
        self._is_ready = True
        return process

    def _is_there(self) -> bool:
        process = self._process
        return process is not None and process.alive

    def _start(self) -> None:
        """Begins a child in the place of what there is, unless the last one failed to start a moment ago."""
        self._end()
        if self._is_closed or self._clock() < self._not_before:
            return
        self._started_at = self._clock()
        try:
            self._process = ProcessApart(self._command, environment=self._environment, name="docmill-judge")
        except OSError as error:
            self._fail(error.strerror or type(error).__name__)

    def _fail(self, why: str) -> None:
        self._not_before = self._clock() + AFTER_FAILURE_S
        log.error("judge_not_started", why=why, command=" ".join(self._command))
        self._end()

    def _end(self) -> None:
        process, self._process, self._is_ready = self._process, None, False
        if process is not None:
            process.close()

    def _explained(self, end: ProcessEnded, content: Content) -> Exception:
        if not end.expired and (not end.took_it or end.by_others):
            return NotNow("the judge's process was ended by others")
        self._leave_alone(content, LEFT_ALONE_S)
        if end.expired or end.exit_code == -signal.SIGPROF:
            return TookLong(f"the checks of prompt {content.name}/{content.version} took too long")
        return Died(f"the judge's process ended with {end.exit_code}")

    def _leave_alone(self, content: Content, for_s: float) -> None:
        now = self._clock()
        kept = {each: until for each, until in self._left_alone.items() if until > now}
        self._left_alone = {**kept, content: now + for_s}


def _verdict(told: Told) -> Verdict:
    if told.broke is not None:
        raise Broke(told.broke)
    if told.verdict is None:
        raise NotNow("the prompt's content does not load in the judge's process, or the answer is too large")
    return told.verdict


def _with_modules(path: str) -> str:
    home = str(Path(docmill.__file__).parent.parent)
    return os.pathsep.join(filter(None, [home, path]))
