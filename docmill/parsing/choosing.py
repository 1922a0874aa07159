"""Which of the values in a reply is its answer: a rule that can be stated, and never a guess.

A reply may hold several that fit: a draft, an example, the answer before and after a second thought. Those that
are the same are one. Otherwise it is the last of them, and only if something sets it off: it stands in what the
reply marks as its answer, right behind a heading or a mark that announces it, or in the only fence. Whatever
else would be a guess, and a guess costs more than the correction that is asked for instead.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from pydantic import BaseModel

from docmill.errors import ReplyInvalid, ReplyNotJson, ReplyRejected, ReplyTruncated
from docmill.parsing import bounds
from docmill.parsing.extraction import Found, Reply
from docmill.parsing.omissions import check_whole
from docmill.parsing.surroundings import has_loose_members, has_tuples

__all__ = ["choose", "choose_list"]

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class _Judged(Generic[T]):
    """A value of the reply: the answer that it makes, or why it makes none."""

    found: Found
    answer: T | None = None
    rejection: ReplyRejected | None = None


def choose(reply: Reply, fit: Callable[[Any], T], concerns: Callable[[Any], bool]) -> T:
    """The one answer in a reply, as ``fit`` makes it of a value.

    ``concerns`` says whether a value that does not fit is about what was asked, and not something else. Raises
    ReplyRejected.
    """
    _check_whole(reply)
    judged = [_judge(found, fit) for found in _of_the_answer(reply, concerns)]
    fitting = [each for each in judged if each.rejection is None]
    rivals = [each for each in judged if each.rejection and (each.found.doubt or concerns(each.found.value))]
    if not fitting:
        raise _why_none_fits(rivals or judged)
    chosen = _chosen(fitting)
    for rival in rivals:
        _check_rival(chosen, rival)
    _check_beside(reply, chosen.found)
    return chosen.answer  # type: ignore[return-value]  # it has one, for it was not rejected


def choose_list(reply: Reply, fit: Callable[[Any], T], concerns: Callable[[Any], bool]) -> T:
    """The same where a list is asked for: the one list, or the values of the reply one after another."""
    values = _of_the_answer(reply, lambda _: True)
    if len(values) < 2 or any(isinstance(found.value, list) for found in values):
        return choose(reply, fit, concerns)
    _check_whole(reply)
    first = max((found.start for found in values if found.marked), default=0)
    for found in values:
        if found.doubt:
            raise ReplyNotJson(f"one of the reply's values cannot be read: {found.doubt}")
    _check_beside(reply, values[0])
    return _fitted([found.value for found in values if found.start >= first], fit)


def _check_whole(reply: Reply) -> None:
    if reply.cut:
        raise ReplyTruncated(reply.cut)
    if reply.says_it_is_not_whole:
        raise ReplyInvalid("the reply says that something was left out", problems=(("", "must hold everything"),))


def _check_beside(reply: Reply, chosen: Found) -> None:
    """Raises where what is no value by its form may be one after all, or a part of one."""
    words = [
        each
        for each in reply.prose
        if chosen.group in (None, each.group) and (each.end > chosen.start or not chosen.marked)
    ]
    if any(has_loose_members(each.words) for each in words):
        raise ReplyNotJson("the reply holds members of a value without its brackets")
    is_list = isinstance(chosen.value, list)
    lists = any(found.is_remark for found in reply.found if is_list)
    if not chosen.marked and (lists or any(has_tuples(each.words, for_sure=not is_list) for each in words)):
        raise ReplyInvalid("the reply holds more than one list", problems=(("", "must be given once"),))


def _of_the_answer(reply: Reply, concerns: Callable[[Any], bool]) -> list[Found]:
    """What stands in the last part that is marked as the answer, if anything of concern does; else all."""
    values = [found for found in reply.found if found.looks_like_one]
    last = max((found.group for found in values if found.group is not None), default=None)
    marked = [found for found in values if found.group == last and last is not None]
    return marked if any(found.doubt or concerns(found.value) for found in marked) else values


def _judge(found: Found, fit: Callable[[Any], T]) -> _Judged[T]:
    if found.doubt:
        return _Judged(found=found, rejection=ReplyNotJson(f"the reply cannot be read: {found.doubt}"))
    try:
        return _Judged(found=found, answer=_fitted(found.value, fit))
    except ReplyRejected as error:
        return _Judged(found=found, rejection=error)


def _fitted(value: Any, fit: Callable[[Any], T]) -> T:
    bounds.check(value)
    check_whole(value)
    return fit(value)


def _why_none_fits(judged: Sequence[_Judged[T]]) -> ReplyRejected:
    """What is wrong with the last value that was meant as an answer: a correction starts from it."""
    rejections = [each.rejection for each in judged if each.rejection is not None]
    return rejections[-1] if rejections else ReplyNotJson("the reply holds no JSON object")


def _chosen(fitting: Sequence[_Judged[T]]) -> _Judged[T]:
    last = fitting[-1]
    others = [each for each in fitting if not _is_same(each.answer, last.answer)]
    if others and not _is_set_off(last, others):
        raise ReplyInvalid(
            f"the reply holds {len(others) + 1} answers that differ",
            problems=(
                ("", "must be given once: the reply holds several that differ, and does not say which it means"),
            ),
        )
    if last.found.draft and not _is_set_off(last, others):
        raise ReplyTruncated("the reply ends before the answer: what it holds belongs to its reasoning")
    return last


def _is_set_off(judged: _Judged[T], others: Sequence[_Judged[T]]) -> bool:
    found = judged.found
    return found.marked or (found.fenced and not any(other.found.fenced for other in others))


def _check_rival(chosen: _Judged[T], rival: _Judged[T]) -> None:
    """Raises where a value that is no answer may be the one that was meant as it.

    It is none if the answer behind it is set off; or if it only shows the shape, as ``{"total": "..."}`` does.
    """
    is_behind = rival.found.start > chosen.found.start
    if rival.rejection and (is_behind or not (_is_set_off(chosen, [rival]) or _shows_shape(rival.found))):
        raise rival.rejection


def _shows_shape(found: Found) -> bool:
    texts = [leaf for _, leaf in bounds.leaves(found.value) if isinstance(leaf, str)]
    is_template = isinstance(found.value, dict) and texts and all(text in ("...", "…") for text in texts)
    return bool(is_template) and all(not isinstance(member, list) for member in found.value.values())


def _is_same(one: Any, other: Any) -> bool:
    return bool(one == other) if isinstance(one, BaseModel) else bounds.same(one, other)
