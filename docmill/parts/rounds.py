"""What is done with the answers of parts: which parts are asked again, until the whole is complete; pure.

An answer that was cut off is asked for in two halves. One that is wrong is corrected once, then the next model is
asked. Lines that look like the rows that were found, and of which no answer holds anything, are asked for again,
in smaller parts. What a prompt declares of the whole is held against it last: the parts nearest a gap are asked
again, then the next model, then a person.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import count
from typing import Any, TypeAlias, cast

from pydantic import BaseModel

from docmill.errors import Failure, FailureKind, ReplyInvalid, ReplyRejected
from docmill.parsing import check_whole
from docmill.parts.cutting import ROWS_A_PART, Part, beside, halves, joined_spans
from docmill.parts.joining import Answered, Joined, join
from docmill.parts.lines import Lines
from docmill.parts.places import Shown

__all__ = ["Ask", "Found", "Plan", "Whole", "next_round"]

MOST_ROUNDS = 24
MOST_ASKED = 3
"""Times that a line is asked for that no answer holds: then it is no row."""
GAP_ROWS = (ROWS_A_PART // 2, 8)
"""Rows that a part holds that asks for what was left out, the first time and the second."""
WORTH_ASKING = 0.05
"""Of lines that were asked for again, how many must have held a row for the others to be asked for once more."""
MOST_RAISES = 3
"""Times that the output limit of a part is doubled that cannot be cut any more."""
MOST_TOLD = 50
"""Places that are told of one kind."""
AROUND = 2
"""Lines before and behind a gap that are asked for with it."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The parts of a job whose answers make up the whole, as ``jobs.context`` keeps them."""

    parts: tuple[Part, ...]
    numbered: int
    """The highest number that a part has had."""
    first: int
    """Parts of the first cut."""
    rounds: int = 0
    repairs: int = 0
    """Times that the whole had a gap."""
    sought: int = 0
    """Lines that the last round asked for again, as no answer held anything of them."""
    attempt: int = 0
    """The job's; one that follows it is a person's wish to try again."""

    def for_attempt(self, attempt: int) -> Plan:
        """Returns the plan as the job's attempt begins with it: what was given up is tried again."""
        if attempt <= self.attempt:
            return self
        parts = tuple(replace(part, lost=None, tries=0) for part in self.parts)
        return replace(self, parts=parts, rounds=0, repairs=0, attempt=attempt)

    @classmethod
    def of(cls, parts: Sequence[Part]) -> Plan:
        return cls(parts=tuple(parts), numbered=len(parts), first=len(parts))

    @classmethod
    def read(cls, kept: Mapping[str, Any]) -> Plan:
        """As :meth:`as_json` wrote it."""
        parts = tuple(
            Part(
                **{
                    **each,
                    "spans": _spans(each["spans"]),
                    "beside": _spans(each["beside"]),
                    "problems": tuple(each["problems"]),
                }
            )
            for each in kept["parts"]
        )
        return cls(**{**kept, "parts": parts})

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def _spans(kept: Sequence[Sequence[int]]) -> tuple[tuple[int, int], ...]:
    return tuple((start, end) for start, end in kept)


@dataclass(frozen=True, kw_only=True)
class Whole:
    """What the parts are of, and who may be asked."""

    lines: Lines
    pages: Sequence[int]
    """Where in the text each page begins."""
    schema: Mapping[str, Any]
    output: type[BaseModel]
    ladder: int
    """Models that may be asked, the cheapest first."""
    output_limit: int
    most_output: int | None = None
    """The most that a model can write, where that is known."""
    seen: Mapping[int, Shown] = field(default_factory=dict)
    """What the answers of parts were held against, by the parts' numbers: it was read once."""

    def page(self, offset: int) -> int:
        """The page of a character, from 1."""
        return max(1, sum(start <= offset for start in self.pages))


@dataclass(frozen=True, kw_only=True)
class Ask:
    """Parts are still to be asked; the answers of those ``rejected`` are worth nothing."""

    plan: Plan
    rejected: Sequence[int] = ()


@dataclass(frozen=True, kw_only=True)
class Found:
    """The end: an answer as far as there is one, what it covers, and what a person has to look at."""

    value: Any = None
    evidence: Mapping[str, Any] = field(default_factory=dict)
    coverage: Mapping[str, Any] = field(default_factory=dict)
    failure: Failure | None = None
    rejected: Sequence[int] = ()


Round: TypeAlias = Ask | Found


def next_round(
    whole: Whole, plan: Plan, accepted: Mapping[int, Any], rejected: Mapping[int, ReplyRejected]
) -> Round:
    """Decides what follows from the answers of all parts: ``accepted`` values and rejections, by their numbers."""
    numbers = count(plan.numbered + 1)
    ended = plan.rounds >= MOST_ROUNDS
    kept, again = [], []
    for part in plan.parts:
        why = rejected.get(part.number)
        instead = [] if why is None or ended else _instead(whole, part, why, numbers)
        again += instead
        if not instead:
            kept.append(part if why is None else replace(part, lost=f"{why.kind}: {why}"[:500]))
    if again:
        return _ask(plan, [*kept, *again], tuple(rejected))
    plan = replace(plan, parts=tuple(kept))
    answers = [
        Answered(part=part, value=accepted[part.number], shown=whole.seen.get(part.number))
        for part in kept
        if part.lost is None
    ]
    joined = join(whole.lines, whole.schema, answers)
    open_lines = [] if ended else _open_lines(whole, plan, joined)
    if open_lines:
        missing = _missing(whole, plan, numbers, accepted, open_lines)
        return _ask(replace(plan, sought=len(open_lines)), [*kept, *missing], tuple(rejected))
    if any(part.lost for part in kept):
        return _unanswered(whole, plan, joined, tuple(rejected))
    return _complete(whole, plan, joined, numbers)


def _ask(plan: Plan, parts: Sequence[Part], rejected: Sequence[int], *, repairs: int = 0) -> Ask:
    changed = replace(
        plan,
        parts=tuple(parts),
        numbered=max([plan.numbered, *(part.number for part in parts)]),
        rounds=plan.rounds + 1,
        repairs=plan.repairs + repairs,
    )
    return Ask(plan=changed, rejected=rejected)


# --- an answer that is none ---


def _instead(whole: Whole, part: Part, why: ReplyRejected, numbers: Iterator[int]) -> list[Part]:
    """What is asked instead of a part whose answer was rejected; nothing where no way is left."""
    if why.kind == "truncated":
        return halves(whole.lines, part, numbers) or _longer(whole, part, numbers)
    if part.tries == 0 and why.problems:
        problems = tuple(f"{place or 'the answer'}: {rule}" for place, rule in why.problems[:MOST_TOLD])
        return [replace(part, number=next(numbers), tries=1, corrects=part.number, problems=problems)]
    return _stronger(whole, part, numbers)


def _longer(whole: Whole, part: Part, numbers: Iterator[int]) -> list[Part]:
    """A part that cannot be cut has a longer answer, as far as the model allows."""
    limit = part.output or whole.output_limit
    raised = 2 * limit if whole.most_output is None else min(2 * limit, whole.most_output)
    if part.tries < MOST_RAISES:
        return [
            replace(part, number=next(numbers), tries=part.tries + 1, output=raised, corrects=None, problems=())
        ]
    return _stronger(whole, part, numbers)


def _stronger(whole: Whole, part: Part, numbers: Iterator[int]) -> list[Part]:
    if part.rung + 1 >= whole.ladder:
        return []
    return [replace(part, number=next(numbers), rung=part.rung + 1, tries=0, corrects=None, problems=())]


def _unanswered(whole: Whole, plan: Plan, joined: Joined, rejected: Sequence[int]) -> Found:
    """No model answers some part: a person is shown what the others say, and which pages are missing."""
    lost = [part for part in plan.parts if part.lost]
    pages = sorted({whole.page(start) for part in lost for start, _ in part.spans})
    kind, _, why = str(lost[0].lost).partition(": ")
    message = f"no model gives a usable answer to {_pages(pages)} ({kind}: {why})"
    coverage = _coverage(whole, plan, joined, unanswered=pages)
    value = _checked(whole, joined)[0] if joined.rows or joined.evidence else None
    failure = Failure(kind=cast("FailureKind", kind), message=message)
    return Found(value=value, evidence=joined.evidence, coverage=coverage, failure=failure, rejected=rejected)


# --- rows that nobody gave ---


def _open_lines(whole: Whole, plan: Plan, joined: Joined) -> list[int]:
    """Lines that look like the rows that were found, and of which no answer holds anything: they are asked again.

    Not for the third time where the second brought next to nothing: a report is full of tables that nobody wants.
    """
    asked = _times_asked(whole.lines, plan)
    uncovered = _uncovered(whole.lines, joined)
    refused = _refused(whole.lines, joined, uncovered, asked)
    left = sum(asked[line] > 1 for line in uncovered)
    in_vain = plan.sought > 0 and left > (1 - WORTH_ASKING) * plan.sought
    most = 2 if in_vain else MOST_ASKED
    return [line for line in uncovered if 0 < asked[line] < most and _label(whole.lines, line) not in refused]


def _missing(
    whole: Whole, plan: Plan, numbers: Iterator[int], accepted: Mapping[int, Any], open_lines: Sequence[int]
) -> Iterator[Part]:
    """Parts of these lines, smaller each time."""
    asked = _times_asked(whole.lines, plan)
    lazy = _most_given(whole.lines, plan, accepted, open_lines)
    for times in range(1, MOST_ASKED):
        chosen = [line for line in open_lines if asked[line] == times]
        for group in _groups(chosen, min(GAP_ROWS[times - 1], lazy)):
            yield _of_lines(whole.lines, group, next(numbers))


def _groups(chosen: Sequence[int], size: int) -> Iterator[list[int]]:
    """Lines to ask for together, so few that with those beside them they are no more than ``size``."""
    group: list[int] = []
    shown: set[int] = set()
    for line in chosen:
        wider = shown | {line - 1, line, line + 1}
        if group and len(wider) > size:
            yield group
            group, wider = [], {line - 1, line, line + 1}
        group.append(line)
        shown = wider
    if group:
        yield group


def _uncovered(lines: Lines, joined: Joined) -> list[int]:
    shapes: Counter[str] = Counter()
    for line, rows in joined.row_lines.items():
        shapes[lines.shapes[line]] += rows
    if not joined.rows:  # of a table that nobody says a word of, any line may be a row
        shapes = Counter(dict.fromkeys(lines.tabular, 2))
    return [
        line
        for line in range(len(lines))
        if line not in joined.covered and shapes[lines.shapes[line]] > 1 and "n" in lines.shapes[line]
    ]


def _times_asked(lines: Lines, plan: Plan) -> Counter[int]:
    """How many parts were about each line; one that was cut in the middle of a table shows some twice."""
    asked: Counter[int] = Counter()
    for part in plan.parts:
        if part.lost:
            continue
        again = part.number > plan.first and part.repairs == 0
        for start, end in part.spans:
            touched = range(lines.at(start), lines.at(max(start, end - 1)) + 1)
            for line in touched:
                asked[line] = max(asked[line], 1) if not again else asked[line] + 1
    return asked


def _label(lines: Lines, line: int) -> str:
    """The words of a line without its figures."""
    return " ".join("".join(filter(str.isalpha, word)) for word in lines.words(line).casefold().split())


def _refused(lines: Lines, joined: Joined, uncovered: Sequence[int], asked: Mapping[int, int]) -> set[str]:
    """What several lines say, and no row, that were asked for again in vain, as a sub-total on each page."""
    labels = Counter(_label(lines, line) for line in uncovered if asked[line] > 1)
    in_rows = {_label(lines, line) for line in joined.row_lines}
    return {label for label, times in labels.items() if times > 1 and label not in in_rows}


def _most_given(lines: Lines, plan: Plan, accepted: Mapping[int, Any], open_lines: Sequence[int]) -> int:
    """The most rows that a part gave which left some out: the model may list no more at once."""
    missing = set(open_lines)
    given = []
    for part in plan.parts:
        touched = {line for start, end in part.spans for line in range(lines.at(start), lines.at(end - 1) + 1)}
        if touched & missing and part.number in accepted:
            given.append(_rows_in(accepted[part.number]))
    return max(4, max(given, default=0) or GAP_ROWS[0])


def _rows_in(value: Any) -> int:
    if isinstance(value, Mapping):
        return sum(map(_rows_in, value.values()))
    return len(value) if isinstance(value, list) else 0


def _of_lines(lines: Lines, chosen: Sequence[int], number: int, *, rung: int = 0, repairs: int = 0) -> Part:
    near = [each for line in chosen for each in (line - 1, line, line + 1) if 0 <= each < len(lines)]
    spans = joined_spans([lines.span(line) for line in near])
    goes_along = tuple(beside(lines, spans[0][0]))
    return Part(number=number, spans=tuple(spans), beside=goes_along, rung=rung, repairs=repairs)


# --- the whole ---


@dataclass(frozen=True, kw_only=True)
class _Problem:
    """Something that keeps the whole from being right, and where in the document it lies."""

    kind: FailureKind
    message: str
    lines: tuple[int, int] | None = None
    parts: Sequence[int] = ()
    """Parts that must be asked anew, as what they say cannot be right."""


def _complete(whole: Whole, plan: Plan, joined: Joined, numbers: Iterator[int]) -> Round:
    value, problems = _checked(whole, joined)
    problems += _nothing_found(whole, joined)
    coverage = _coverage(whole, plan, joined)
    if not problems:
        return Found(value=value, evidence=joined.evidence, coverage=coverage)
    if plan.rounds < MOST_ROUNDS and (rung := _rung(whole, plan)) is not None:
        anew = _anew(whole, plan, problems, rung)
        found = _nearest(whole, plan, problems, rung, numbers)
        if found or anew:
            kept = [part for part in plan.parts if part.number not in anew]
            renewed = [_renewed(part, next(numbers), rung) for part in plan.parts if part.number in anew]
            return _ask(plan, [*kept, *found, *renewed], tuple(anew), repairs=1)
    kind: FailureKind = "invalid" if any(each.kind == "invalid" for each in problems) else "wrong"
    message = "; ".join(each.message for each in problems[:5])
    failure = Failure(kind=kind, message=message[:2000])
    gaps = [each.message for each in problems[:MOST_TOLD]]
    return Found(value=value, evidence=joined.evidence, coverage={**coverage, "gaps": gaps}, failure=failure)


def _nothing_found(whole: Whole, joined: Joined) -> list[_Problem]:
    """An empty list is no answer to a document that is full of rows, as far as their shape tells."""
    rows = 0 if joined.rows else len(_uncovered(whole.lines, joined))
    if not rows:
        return []
    return [_Problem(kind="wrong", message=f"no row was found, and {rows} lines of the document look like rows")]


def _checked(whole: Whole, joined: Joined) -> tuple[Any, list[_Problem]]:
    """The whole as the prompt's model has it, and what is wrong with it."""
    problems = [
        _Problem(kind="wrong", message=f"{each.path}: {each.rule}", parts=[number for _, number in each.said])
        for each in joined.conflicts
    ]
    try:
        value, gaps = check_whole(joined.value, whole.output)
    except ReplyInvalid as error:
        told = [_broken(whole, joined, place, rule, error.kind) for place, rule in error.problems]
        return joined.value, [*problems, *(told or [_Problem(kind=error.kind, message=str(error))])]
    for gap in gaps:
        stretch = _stretch(whole.lines, joined, gap.before, gap.behind)
        where = f" ({_where(whole, stretch)})" if stretch else ""
        problems.append(_Problem(kind="wrong", message=f"{gap.path}: {gap.rule}{where}", lines=stretch))
    return value, problems


def _broken(whole: Whole, joined: Joined, place: str, rule: str, kind: FailureKind) -> _Problem:
    row = max((path for path in joined.places if f"{place}.".startswith(f"{path}.")), key=len, default=None)
    stretch = joined.places[row] if row else None
    where = f" ({_where(whole, stretch)})" if stretch else ""
    return _Problem(kind=kind, message=f"{place or 'the answer'}: {rule}{where}", lines=stretch)


def _stretch(lines: Lines, joined: Joined, before: str | None, behind: str | None) -> tuple[int, int] | None:
    """The lines between two rows, these among them; to the document's end where there is none behind."""
    known = [joined.places[each] for each in (before, behind) if each is not None and each in joined.places]
    if not known:
        return None
    if before is None:
        return max(0, known[0][0] - 2 * AROUND), known[0][1]
    if behind is None:
        return known[0][0], min(len(lines) - 1, known[0][1] + 2 * AROUND)
    return min(each[0] for each in known), max(each[1] for each in known)


def _rung(whole: Whole, plan: Plan) -> int | None:
    """The model that is asked about a gap: the first once more, then the next ones; None after the last."""
    return plan.repairs if plan.repairs < whole.ladder else None


def _nearest(
    whole: Whole, plan: Plan, problems: Sequence[_Problem], rung: int, numbers: Iterator[int]
) -> list[Part]:
    """The parts nearest the gaps."""
    stretches = _apart([each.lines for each in problems if each.lines is not None])
    return [_around(whole.lines, stretch, next(numbers), rung, plan.repairs + 1) for stretch in stretches]


def _anew(whole: Whole, plan: Plan, problems: Sequence[_Problem], rung: int) -> set[int]:
    """Parts that are asked once more, as their answers cannot be right: all, where nothing tells which."""
    named = {number for each in problems for number in each.parts}
    if named or any(each.lines is not None for each in problems):
        return named
    return {part.number for part in plan.parts if part.rung < max(rung, min(1, whole.ladder - 1))}


def _renewed(part: Part, number: int, rung: int) -> Part:
    return replace(part, number=number, rung=max(part.rung, rung), tries=0, corrects=None, problems=())


def _apart(stretches: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Those that touch in one, as many as are worth asking for one by one."""
    apart: list[tuple[int, int]] = []
    for first, last in sorted(stretches):
        if apart and first <= apart[-1][1] + AROUND:
            apart[-1] = (apart[-1][0], max(last, apart[-1][1]))
        else:
            apart.append((first, last))
    return apart[:MOST_TOLD]


def _around(lines: Lines, stretch: tuple[int, int], number: int, rung: int, repairs: int) -> Part:
    first, last = max(0, stretch[0] - AROUND), min(len(lines) - 1, stretch[1] + AROUND)
    chosen = list(range(first, last + 1))
    return _of_lines(lines, chosen[: 2 * ROWS_A_PART], number, rung=rung, repairs=repairs)


# --- what is told ---


def _coverage(whole: Whole, plan: Plan, joined: Joined, unanswered: Sequence[int] = ()) -> dict[str, Any]:
    """How much was asked and found, and what no answer covers."""
    asked, uncovered = _times_asked(whole.lines, plan), _uncovered(whole.lines, joined)
    places = [whole.lines.span(line) for line in uncovered]
    told: dict[str, Any] = {
        "parts": len(plan.parts),
        "calls_in_parts": plan.numbered,
        "pages": max(1, len(whole.pages)),
        "rows": joined.rows,
        "unplaced": len(joined.unplaced),
        "unplaced_rows": joined.unplaced[:1000],
        "repeated": joined.repeated,
        "not_covered": [
            {"start": start, "end": end, "page": whole.page(start), "asked": asked[whole.lines.at(start)]}
            for start, end in places[:MOST_TOLD]
        ],
        "not_covered_lines": len(places),
    }
    return told | ({"unanswered_pages": list(unanswered)} if unanswered else {})


def _where(whole: Whole, stretch: tuple[int, int]) -> str:
    first, last = (whole.page(whole.lines.starts[line]) for line in stretch)
    return _pages([first] if first == last else [first, last])


def _pages(pages: Sequence[int]) -> str:
    if len(pages) == 1:
        return f"page {pages[0]}"
    return (
        f"pages {', '.join(map(str, pages[:-1]))} and {pages[-1]}" if len(pages) <= 20 else f"{len(pages)} pages"
    )
