"""Replies whose meaning is known: good JSON, written with slips, wrapped and cut as models and servers do.

No slip changes a scalar. So what is read from such a reply is the value that it was written from, or the reply is
refused; a cut one is refused. ``python -m tests.fuzz.mutations --count 200000 --seed 1`` prints, for each kind of
slip, how many were read.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias

from pydantic import BaseModel

from docmill.errors import ReplyRejected
from docmill.parsing import parse
from tests.fuzz.kinds import LEFT_OUT, NEXT_TO_IT, SIGNS, STYLES, WRAPS, Kinds, Making
from tests.fuzz.originals import Original, original
from tests.fuzz.writing import joined, tokens_of

__all__ = ["Written", "judged", "replies", "written", "written_with"]

KINDS = ("none", *STYLES, *SIGNS, *NEXT_TO_IT, *WRAPS, *LEFT_OUT, "cut")
AROUND: tuple[tuple[Kinds, ...], ...] = (
    *((), (), (NEXT_TO_IT,), (WRAPS,), (WRAPS,)),
    *((NEXT_TO_IT, WRAPS), (WRAPS, WRAPS)),
)
UNMARKED = {"draft unmarked", "draft in thoughts without opening", "another format"}
"""Of which something whole may be left where the reply is cut, and nothing says so."""


@dataclass(frozen=True, kw_only=True)
class Written:
    """A reply, what it means, and the kinds of slips in it."""

    text: str
    original: Original
    kinds: tuple[str, ...]

    @property
    def is_half(self) -> bool:
        """Whether it says that a part of the value was left out, so that nothing may be read."""
        return "left out" in self.kinds


Outcome: TypeAlias = Literal["read", "refused", "wrong"]


def replies(seed: int, count: int) -> Iterator[Written]:
    """``count`` replies; the same ones for the same seed."""
    made = 0
    for number in range(2 * count):
        reply = written(f"{seed}/{number}")
        if reply is not None and made < count:
            made += 1
            yield reply


def written_with(kind: str, seed: int) -> Written | None:
    """A reply with one slip of this kind alone; None where it has nothing to change."""
    making = Making(rng=random.Random(f"{kind}/{seed}"), original=original(random.Random(seed)))
    making.kinds += [kind] if kind in STYLES and STYLES[kind](making) else []
    making.tokens = tokens_of(making.original.value, making.style, making.rng)
    making.kinds += [kind] if kind in SIGNS and SIGNS[kind](making) else []
    making.text = joined(making.tokens)
    if _means_another(making):
        return None
    around = {**NEXT_TO_IT, **WRAPS}
    making.kinds += [kind] if kind in around and around[kind](making) else []
    if making.kinds != [kind]:
        return None
    return Written(text=making.text, original=making.original, kinds=(kind,))


def written(seed: int | str) -> Written | None:
    """The reply of a seed; None where the slips made another value of it, by JSON's own rules."""
    return _reply(random.Random(str(seed)))


def judged(reply: Written) -> tuple[Outcome, object]:
    """What becomes of a reply, and what was read from it, or why it was refused."""
    try:
        found = parse(reply.text, reply.original.model or reply.original.schema)
    except ReplyRejected as error:
        return "refused", f"{type(error).__name__}: {error}"
    plain = found.model_dump(mode="json") if isinstance(found, BaseModel) else found
    right = not reply.is_half and same(plain, reply.original.expected)
    return ("read" if right else "wrong"), plain


def same(found: object, meant: object) -> bool:
    """Equal as JSON: a truth is no number, and 1 is 1.0."""
    if isinstance(found, dict) and isinstance(meant, dict):
        return found.keys() == meant.keys() and all(same(found[name], meant[name]) for name in found)
    if isinstance(found, list) and isinstance(meant, list):
        return len(found) == len(meant) and all(map(same, found, meant))
    return isinstance(found, bool) == isinstance(meant, bool) and found == meant


# --- making one ---


def _reply(rng: random.Random) -> Written | None:
    making = Making(rng=rng, original=original(rng))
    for _ in range(rng.choice((0, 1, 1, 1, 2, 3))):
        _apply(STYLES, making)
    making.tokens = tokens_of(making.original.value, making.style, rng)
    chance = rng.random()
    if chance < 0.35:
        _apply(SIGNS if chance < 0.3 else LEFT_OUT, making)
    making.text = joined(making.tokens)
    if _means_another(making):
        return None
    for kinds in rng.choice(AROUND) if chance < 0.3 or chance >= 0.35 else ():
        _apply(kinds, making)
    if {"draft unmarked", "another format"} <= set(making.kinds):
        return None  # the draft is the only value there is
    if chance >= 0.35 and not UNMARKED & set(making.kinds) and rng.random() < 0.15:
        making.kinds.append("cut")
        making.text = making.text[: rng.randint(1, max(1, len(making.text) - 1))]
    return Written(text=making.text, original=making.original, kinds=tuple(making.kinds))


def _apply(kinds: Kinds, making: Making) -> None:
    kind = making.rng.choice(list(kinds))
    if kind not in making.kinds and kinds[kind](making):
        making.kinds.append(kind)


def _means_another(making: Making) -> bool:
    try:
        found = json.loads(making.text)
    except ValueError:
        return False
    return not same(found, making.original.value)


# --- the command ---


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.mutations", description=__doc__)
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--show", type=int, default=20, help="how many wrong readings are shown")
    parser.add_argument("--refused", default="", help="shows what is refused of this kind alone")
    arguments = parser.parse_args()
    counts: Counter[tuple[str, Outcome]] = Counter()
    for reply in replies(arguments.seed, arguments.count):
        outcome, found = judged(reply)
        counts.update((kind, outcome) for kind in (*(reply.kinds or ("none",)), "all"))
        if len(reply.kinds) == 1:
            counts["alone: " + reply.kinds[0], outcome] += 1
        if outcome == "refused" and reply.kinds == (arguments.refused,):
            say(f"refused {reply.text!r}\n  {found}")
        if outcome == "wrong" and counts["all", "wrong"] <= arguments.show:
            meant = json.dumps(reply.original.expected, ensure_ascii=False)
            say(f"WRONG {reply.kinds}\n  {reply.text!r}\n  meant {meant}\n  read  {found!r}")
    for kind in KINDS:
        say(f"{kind:34} {_line(counts, kind)}   alone {_line(counts, 'alone: ' + kind)}")
    say(f"{'all':34} {_line(counts, 'all')}")
    sys.exit(counts["all", "wrong"] > 0)


def _line(counts: Counter[tuple[str, Outcome]], kind: str) -> str:
    read, refused, wrong = (counts[kind, outcome] for outcome in ("read", "refused", "wrong"))
    total = read + refused + wrong
    return f"{total:7} read {100 * read / (total or 1):5.1f} % wrong {wrong}"


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")


if __name__ == "__main__":
    main()
