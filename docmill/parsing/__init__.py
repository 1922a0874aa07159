"""From a reply to a checked value; pure."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from functools import lru_cache, wraps
from typing import Any, ParamSpec, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import to_jsonable_python

from docmill.errors import ReplyInvalid, ReplyNotJson, ReplyRejected, ReplyTruncated, ReplyWrong
from docmill.parsing import bounds
from docmill.parsing.bounds import leaves, strict
from docmill.parsing.checking import Checker, Problem
from docmill.parsing.choosing import choose, choose_list
from docmill.parsing.citing import Citation
from docmill.parsing.declarations import Count, Gap, Numbered, Running, Total, gaps
from docmill.parsing.extraction import fenced, scan
from docmill.parsing.fitting import concerns, fitted, is_foreign, label_in, word_in
from docmill.parsing.grounding import Document, Grounded, PartlyRead, holds
from docmill.parsing.marks import behind_heading
from docmill.parsing.placing.locating import Place, locate
from docmill.parsing.schema import SCALARS, kinds, labels, resolved

__all__ = [
    "Citation",
    "Count",
    "Grounded",
    "Numbered",
    "Place",
    "Running",
    "Total",
    "accept",
    "accept_part",
    "check_whole",
    "correction_problems",
    "holds",
    "locate",
    "parse",
]

CUT_OFF = frozenset({"length", "max_tokens", "max_output_tokens", "model_length", "model_context_window_exceeded"})
SEMANTIC = frozenset({"value_error", "assertion_error", "not_grounded"})
"""Pydantic's names for what a prompt's own checks raise; everything else is about the shape."""


P = ParamSpec("P")
T = TypeVar("T")


def _bounded(read: Callable[P, T]) -> Callable[P, T]:
    """Makes a rejection of a reply that needs more of the stack than its caller has left."""

    @wraps(read)
    def reading(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return read(*args, **kwargs)
        except RecursionError as error:
            raise ReplyNotJson("the reply is nested too deep to be read") from error

    return reading


@_bounded
def parse(
    text: str, schema: dict[str, Any] | type[BaseModel] | None = None, *, finish_reason: str = "stop"
) -> object:
    """The value that the reply means: a model's instance where ``schema`` is a model, else plain JSON.

    Raises ReplyTruncated, ReplyNotJson, or ReplyInvalid (ReplyWrong where only semantic checks fail), and
    Misconfigured where ``schema`` is no JSON Schema.
    """
    _must_be_whole(finish_reason)
    if schema is None:
        return choose(scan(text, repeated=True), lambda value: value, lambda _: True)
    if isinstance(schema, dict):
        return _by_schema(text, Checker(schema))
    shape = _shape(schema)
    return choose(
        scan(text),
        lambda value: _validated(_fitted(value, shape), schema, None),
        lambda value: concerns(value, shape.root),
    )


@lru_cache(maxsize=256)
def _shape(output: type[BaseModel]) -> Checker:
    """The model's JSON Schema, which takes longer to make than most replies take to read."""
    return Checker(output.model_json_schema())


def _must_be_whole(finish_reason: str) -> None:
    if str(finish_reason).lower() in CUT_OFF:
        raise ReplyTruncated(f"the model stopped at its output limit ({finish_reason})")


def _by_schema(text: str, checker: Checker) -> object:
    schema = checker.root
    wanted = kinds(schema)
    reply = scan(text)
    if wanted and wanted <= SCALARS:
        return _scalar(reply.text, checker)
    choice = choose_list if wanted == {"array"} else choose
    try:
        return choice(reply, lambda value: _fitting(value, checker), lambda value: concerns(value, schema))
    except ReplyTruncated:
        raise
    except ReplyRejected:
        if not wanted & SCALARS:
            raise
        return _scalar(reply.text, checker)


def _scalar(bare: str, checker: Checker) -> object:
    """A label, number or text: alone, quoted, in a fence, or (where it is the only one) within prose."""
    bare = fenced(behind_heading(bare))
    for reading in (*_decoded(bare), bare):
        value = _fitted(reading, checker)
        if checker.fits(value):
            return value
    within = label_in(bare, labels(checker.root))
    wanted = kinds(checker.root)
    if within is None and "string" not in wanted:
        within = word_in(bare, wanted)
    if within is not None and checker.fits(within):
        return within
    raise _misfit(None, checker.problems(bare))


def _decoded(text: str) -> list[object]:
    """The text as JSON; nothing where it is none."""
    try:
        return [strict(text, repeated=False)]
    except (ValueError, ReplyRejected):
        return []


@_bounded
def accept(
    text: str,
    output: type[BaseModel],
    *,
    document: str | Document,
    passages: Sequence[str] | None = None,
    unread: bool = False,
    finish_reason: str = "stop",
) -> dict[str, Any]:
    """The reply as JSON that fits ``output``, its grounded values found in ``document``.

    Where the model saw pages that nobody could read (``unread``), a value that is not found may stand there.
    Its citations are found in the numbered ``passages``. A field that was left out is no null: the schema, as the
    prompt states it, demands every field. Raises as :func:`parse`.
    """
    _must_be_whole(finish_reason)
    shape = _shape(output)
    sources = {
        "document": PartlyRead(_text_of(document)) if unread else _looked_up(document),
        "passages": None if passages is None else [Document(passage) for passage in passages],
    }
    return choose(
        scan(text),
        lambda value: _accepted(value, output, shape, sources),
        lambda value: concerns(value, shape.root),
    )


def _accepted(value: Any, output: type[BaseModel], shape: Checker, sources: Mapping[str, Any]) -> dict[str, Any]:
    value = _fitted(value, shape)
    _check_storable(value)
    model = _validated(value, output, sources)
    missing = tuple(_left_out(model, ""))
    if missing:
        raise ReplyInvalid(_summary(missing), problems=missing, value=value)
    plain = _plain(model.model_dump(by_alias=True))
    broken = gaps(plain, output)
    if broken:
        told = _gap_problems(broken)
        raise ReplyWrong(_summary(told), problems=told, value=plain)
    return plain


@_bounded
def accept_part(
    text: str, part: type[BaseModel], *, document: str | Document, finish_reason: str = "stop"
) -> dict[str, Any]:
    """The reply about a part of a document, as JSON that fits ``part``: the prompt's model with nothing demanded
    outside of rows (:mod:`docmill.parsing.relaxing`). What it leaves out there is left out.

    Grounded values are found in ``document``, what the model was shown. Raises as :func:`parse`.
    """
    _must_be_whole(finish_reason)
    shape = _shape(part)
    sources = {"document": _looked_up(document), "passages": None}

    def accepted(value: Any) -> dict[str, Any]:
        value = _fitted(value, shape)
        _check_storable(value)
        if is_foreign(value, shape.root):
            raise ReplyInvalid(FOREIGN, problems=(("", FOREIGN),))
        model = _validated(value, part, sources)
        missing = tuple((place, rule) for place, rule in _left_out(model, "") if IN_A_ROW.search(place))
        if missing:
            raise ReplyInvalid(_summary(missing), problems=missing, value=value)
        return _plain(model.model_dump(exclude_unset=True, by_alias=True))

    return choose(scan(text), accepted, lambda value: concerns(value, shape.root))


def _looked_up(document: str | Document) -> Document:
    return Document(document) if isinstance(document, str) else document


def _text_of(document: str | Document) -> str:
    return document if isinstance(document, str) else document.text


FOREIGN = "has none of the known fields"
IN_A_ROW = re.compile(r"\.\d+\.")


def check_whole(value: Mapping[str, Any], output: type[BaseModel]) -> tuple[dict[str, Any], list[Gap]]:
    """An answer put together out of parts, as ``output`` has it, and what of its declarations does not hold.

    That its values stand in the document was checked part by part. What no part names is null, or an empty list,
    where the model allows that. Raises ReplyInvalid.
    """
    shape = _shape(output).root
    whole = _filled(dict(value), shape, shape)
    plain = _plain(_validated(whole, output, None).model_dump(by_alias=True))
    return plain, gaps(plain, output)


def _filled(value: dict[str, Any], schema: Mapping[str, Any], root: Mapping[str, Any]) -> dict[str, Any]:
    for name, member in (schema.get("properties") or {}).items():
        allowed = kinds(member, root)
        inner = resolved(member["$ref"], root) if "$ref" in member else member
        if isinstance(value.get(name), dict):
            value[name] = _filled(dict(value[name]), inner, root)
        elif name not in value and "null" in allowed:
            value[name] = None
        elif name not in value and "array" in allowed:
            value[name] = []
    return value


def _gap_problems(found: Sequence[Gap]) -> tuple[tuple[str, str], ...]:
    return tuple((gap.path, gap.rule) for gap in found)


def _plain(value: Any) -> dict[str, Any]:
    plain: dict[str, Any] = to_jsonable_python(_with_numbers(value))
    return plain


def _left_out(value: object, place: str) -> Iterator[tuple[str, str]]:
    """Fields that have their default because the reply does not name them."""
    if isinstance(value, BaseModel):
        for name, field in type(value).model_fields.items():
            said = field.alias or name  # as the schema has it
            below = f"{place}.{said}" if place else said
            if name in value.model_fields_set:
                yield from _left_out(getattr(value, name), below)
            else:
                yield below, "is missing: give it, as null where the document does not say"
    elif isinstance(value, list | tuple):
        for at, member in enumerate(value):
            yield from _left_out(member, f"{place}.{at}")


def _with_numbers(value: Any) -> Any:
    """Decimals as the numbers that the model wrote, and not as texts."""
    if isinstance(value, dict):
        return {key: _with_numbers(member) for key, member in value.items()}
    if isinstance(value, list | tuple):
        return [_with_numbers(member) for member in value]
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    return value


def correction_problems(error: ReplyRejected) -> list[str]:
    """One line a problem, for the correction prompt: the field and the rule."""
    if not error.problems:
        return [str(error)]
    return [f"{place or 'the answer'}: {rule}" for place, rule in error.problems]


def _fitting(value: Any, checker: Checker) -> object:
    value = _fitted(value, checker)
    if is_foreign(value, checker.root):
        raise _misfit(value, [("", "has none of the known fields")])
    if found := checker.problems(value):
        raise _misfit(value, found)
    return value


def _misfit(value: object, found: Sequence[Problem]) -> ReplyInvalid:
    return ReplyInvalid(_summary(tuple(found)), problems=tuple(found), value=value)


def _fitted(value: Any, checker: Checker) -> Any:
    """The value in the form that is asked for; what was written in its texts is held against the limits too."""
    value = fitted(value, checker)
    bounds.check(value)
    return value


def _validated(value: Any, output: type[BaseModel], sources: Mapping[str, Any] | None) -> BaseModel:
    try:
        # Strict about JSON types, yet from JSON: a date is a string there.
        return output.model_validate_json(json.dumps(value), context=sources)
    except ValidationError as error:
        raise _rejection(error, value) from error
    except ArithmeticError as error:
        # A check divided by what the model wrote, or took its logarithm.
        found = (("", f"a check cannot calculate with it: {type(error).__name__}"),)
        raise ReplyWrong(_summary(found), problems=found, value=value) from error


def _rejection(error: ValidationError, value: Any) -> ReplyInvalid:
    details = error.errors(include_url=False, include_context=False, include_input=False)
    found = tuple((".".join(map(str, each["loc"])), each["msg"]) for each in details)
    kind = ReplyWrong if all(each["type"] in SEMANTIC for each in details) else ReplyInvalid
    return kind(_summary(found), problems=found, value=value)


def _summary(found: tuple[tuple[str, str], ...]) -> str:
    return "; ".join(f"{place or 'the answer'}: {rule}" for place, rule in found[:5])


def _check_storable(value: Any) -> None:
    for written, leaf in leaves(value):
        if "\x00" in written or (isinstance(leaf, str) and "\x00" in leaf):
            place = written.replace("\x00", "")
            raise ReplyInvalid(
                f"{place or 'the answer'} holds a character that no database stores",
                problems=((place, "must not hold NUL"),),
            )
