"""The judge apart: ``python -m tasks.apart.child PARENT HOME FOLDER…``, started by :mod:`tasks.apart.judge`.

It opens the prompts of the folders, with the contents that are kept in HOME, where that is not empty; greets its
parent; and answers one question after another. It knows no database and no settings, imports as little as it can,
and has the user, the network and the environment that it is given: a prompt's own checks may need them.
"""

from __future__ import annotations

import signal
import sys
import time
from dataclasses import replace
from pathlib import Path

from docmill.apart import frames
from docmill.apart.child import die_with, take_pipes
from docmill.errors import PromptError
from docmill.parsing.renderings.names import names
from docmill.processes import collect_seldom, give_back_memory, limit_memory, resident_bytes
from docmill.whereabouts import where
from prompts import Registry
from tasks.apart.messages import Told, read_question, write_answer
from tasks.verdicts import verdict_on

GREETING = b"{}"
MOST_QUESTIONS = 10_000
MOST_BYTES = 400 * 2**20
"""Of memory; with more, or after so many questions, it ends, and another begins."""
# The frame's length was checked by the parent; this is only a bound.
_MAX_BODY = 2**40
SLOW_CPU_S = 0.5
"""As ``ANSWER_CPU_S``: what takes longer is answered, and its parent is told."""
ANSWER_CPU_S = 1.0
"""Of the child's own CPU: a check that never ends is not to be taken for one that a busy machine keeps waiting."""


def main() -> None:
    """Serves questions until the parent closes the pipe."""
    parent, home, *folders = sys.argv[1:]
    die_with(int(parent))
    incoming, outgoing = take_pipes()
    registry = Registry([Path(folder) for folder in folders], home=Path(home) if home else None)
    # The first date in a reply would wait for them, for half a second where none are kept.
    names()
    collect_seldom()
    give_back_memory()
    limit_memory()
    frames.send(outgoing, GREETING)
    serve(registry, incoming, outgoing)


def serve(registry: Registry, incoming: int, outgoing: int) -> None:
    """Answers frames from one pipe on the other, until the pipe ends or an answer is the last."""
    for asked in range(1, MOST_QUESTIONS + 1):
        try:
            header, body = frames.receive(incoming, max_body=_MAX_BODY)
        except frames.PipeEnded:
            return
        last = asked == MOST_QUESTIONS
        signal.setitimer(signal.ITIMER_PROF, ANSWER_CPU_S)  # SIGPROF ends the process
        header, body, last = _answer(registry, header, body, last=last)
        signal.setitimer(signal.ITIMER_PROF, 0)
        frames.send(outgoing, header, body)
        if last:
            return


def _answer(registry: Registry, header: bytes, body: bytes, *, last: bool) -> tuple[bytes, bytes, bool]:
    """The answer's header and body, and whether it is the last."""
    try:
        told = _judged(registry, header, body)
        last = last or resident_bytes() > MOST_BYTES
        return (*write_answer(replace(told, last=last)), last)
    except MemoryError as error:  # what it was needed for may be held still
        return (*write_answer(Told(broke=where(error), last=True)), True)
    except Exception as error:  # noqa: BLE001 - the boundary: the parent is told, and counts it
        return (*write_answer(Told(broke=where(error), last=last)), last)


def _judged(registry: Registry, header: bytes, body: bytes) -> Told:
    content, question = read_question(header, body)
    try:
        prompt = registry.pinned(*content)
    except PromptError:
        return Told(declined=True, unloaded=True)
    began = time.process_time()  # what is loaded once makes no check a slow one
    verdict = verdict_on(question, prompt)
    return Told(verdict=verdict, slow=time.process_time() - began > SLOW_CPU_S)


if __name__ == "__main__":
    main()
