"""Requests that a provider rejected and how they become acceptable: found in its words, remembered, applied.

The rules are those of docs/providers.md, section 5.3. What is learned for a model is plain JSON, so that it can be
stored: ``{"drop": ["temperature"], "rename": {"max_tokens": "max_completion_tokens"}, "lower": {"max_tokens":
8192}, "schema": "json_object", "schema_fields": 369, "schemas_in_words": ["0123456789abcdef"], "say_json": true,
"images": false}``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal

from docmill.errors import Repair
from docmill.llm.wire.envelopes import Complaint
from docmill.llm.wire.eyes import takes_no_images
from docmill.llm.wire.schemas import digest_of, fields_in
from docmill.llm.wire.shapes import label, sequence

__all__ = [
    "is_dropped",
    "json_allowed",
    "learn",
    "native_schema",
    "repair_for",
    "schema_told",
    "takes_images",
    "with_repairs",
]

SCHEMA_STEPS = ("json_schema", "json_object", "none")
"""Native structured output, any JSON object, the prompt's words alone."""

OUTPUT_LIMITS = ("max_tokens", "max_completion_tokens", "max_output_tokens", "maxOutputTokens", "num_predict")
SAMPLING = ("temperature", "top_p", "top_k")
# Without these there is no request left.
KEPT = frozenset({"model", "messages", "input", "contents", "prompt", *OUTPUT_LIMITS})
MOST_IN_WORDS = 50
"""Schemas that are remembered for a model, each for itself."""
SCHEMA_PARAMETERS = ("response_format", "text.format", "output_config", "format", "structured_outputs")

_SCHEMA_WORDS = re.compile(
    r"invalid schema|response_?format|response_?json_?schema|response_?schema|json[_ ]schema|\bgrammar\b"
    r"|enabled only for api versions|does not support tools|structured outputs?|output_config"
    r"|for 'object' type|can handle the requested parameters"
    r"|\bschemas? (?:is|are|produces?|contains?|exceeds?|has|have|in generationconfig)\b",
    re.IGNORECASE,
)
_TOO_LARGE = re.compile(
    r"\btoo (?:large|big|long|complex|many|deep)|\b(?:at most|more than|limit of) \d"
    r"|\bmaximum (?:number|depth|size|length|nest|of|allowed)|\bexceed|\bsimplify|\bnested? (?:more|beyond)",
    re.IGNORECASE,
)
_OF_FIELDS = re.compile(
    r"\b(?:propert(?:y|ies)|fields?|states?|size)\b|\btoo (?:large|big|complex)\b", re.IGNORECASE
)
_OF_ELSE = re.compile(
    r"\b(?:enums?|enumerations?|values?|depth|deep|deeply|nest(?:ed|ing)?|levels?|strings?|char(?:acter)?s?|length|names?"
    r"|descriptions?|patterns?|unions?)\b",
    re.IGNORECASE,
)
"""What a schema can have too much of, however few its fields are."""
_SENTENCE_END = re.compile(r"[.:;] ")
_UNSUPPORTED_WORDS = re.compile(
    r"(?:is |are )?(?:not|un)[ -]?(?:supported|available|recognized|permitted|allowed)"
    r"|unrecognized|unexpected|unknown (?:name|parameter|field)|is deprecated|extra inputs",
    re.IGNORECASE,
)
_NAMED = re.compile(
    r"(?:property|parameter|argument(?: supplied)?:?|unknown name|field|value)\s*+:?\s*+"
    r"[\"'`]?([A-Za-z_][\w.]{1,60})[\"'`]?",
    re.IGNORECASE,
)
_DEPRECATED = re.compile(
    r"[\"'`]?(temperature|top_p|top_k)[\"'`]?[^.]{0,40}? (?:is|are) deprecated", re.IGNORECASE
)
_EXTRA = re.compile(r"^([A-Za-z_][\w.]{1,100}): extra inputs are not permitted", re.IGNORECASE)
_CAPS = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        r"must be less than or equal to (\d{1,9})",
        r"expected a value <= (\d{1,9})",
        r"supports at most (\d{1,9})",
        r"max_tokens: \d+ > (\d{1,9})",
        r"valid range of \w+ is \[\d+,\s*(\d{1,9})\]",
        r"less_than_equal\D{1,20}(\d{1,9})",
    )
)
_SAY_JSON = re.compile(r"must contain the word ['\"]?json", re.IGNORECASE)
_NAME = re.compile(r"\w{1,60}")
"""A parameter that a request can have; whatever else a complaint names is no part of ours."""
_EXCLUSIVE_CAP = re.compile(r"supported range is from \d+ \(inclusive\) to (\d{1,9}) \(exclusive\)", re.IGNORECASE)


def repair_for(complaint: Complaint, status: int) -> Repair | None:
    """Returns how the request can be changed so that it is accepted; None where its author must change it."""
    message = complaint.message
    if takes_no_images(message):
        return Repair(action="no_images")
    if complaint.codes & {"json_validate_failed", "tool_use_failed"}:
        return Repair(action="resample")
    if _SAY_JSON.search(message):
        return Repair(action="say_json")
    for find in (_renamed_limit, _lowered, _extra_key, _schema_rejected, _dropped):
        repair = find(complaint)
        if repair is not None:
            return repair
    return Repair(action="schema") if status == 501 else None


def _renamed_limit(complaint: Complaint) -> Repair | None:
    """The output limit goes by two names in the chat shape, and a server may know one of them only."""
    named = _parameter(complaint)
    if named not in ("max_tokens", "max_completion_tokens") or not _says_unsupported(complaint):
        return None
    other = "max_completion_tokens" if named == "max_tokens" else "max_tokens"
    return Repair(action="rename", parameter=named, value=other)


def _lowered(complaint: Complaint) -> Repair | None:
    cap = _cap(complaint.message)
    if cap is None:
        return None
    named = complaint.param or next((key for key in OUTPUT_LIMITS if key in complaint.message), None)
    named = named or next((key for key in SAMPLING if key in complaint.message), None)
    named = (named or "").split(".")[-1]
    return Repair(action="lower", parameter=named, value=cap) if _NAME.fullmatch(named) else None


def _cap(message: str) -> int | None:
    exclusive = _EXCLUSIVE_CAP.search(message)
    if exclusive:
        return int(exclusive.group(1)) - 1
    found = next((match for cap in _CAPS if (match := cap.search(message))), None)
    return int(found.group(1)) if found else None


def _extra_key(complaint: Complaint) -> Repair | None:
    """FastAPI's ``extra_forbidden`` names the key at the end of its place (Mistral); Anthropic uses words."""
    worded = _EXTRA.search(complaint.message)
    if worded and not worded[1].startswith("output_config"):
        return _drop(worded[1].split(".")[-1])
    for detail in complaint.details:
        place = sequence(detail.get("loc"))
        if detail.get("type") == "extra_forbidden" and place:
            return _drop(label(place[-1]))
    return None


def _schema_rejected(complaint: Complaint) -> Repair | None:
    about_schema = (complaint.param or "").startswith(SCHEMA_PARAMETERS)
    moved = "moved to" in complaint.message
    if moved or not (about_schema or _SCHEMA_WORDS.search(complaint.message)):
        return None
    return Repair(action=_schema_action(complaint.message))


def _schema_action(message: str) -> Literal["schema", "smaller_schema", "this_schema"]:
    """What the sentence that says "too much" speaks of: all fields together, or something else of this schema.

    A number of fields is learned for all prompts, and so only where the provider speaks of it.
    """
    said = next((sentence for sentence in _SENTENCE_END.split(message) if _TOO_LARGE.search(sentence)), None)
    if said is None:
        return "schema"
    return "smaller_schema" if _OF_FIELDS.search(said) and not _OF_ELSE.search(said) else "this_schema"


def _dropped(complaint: Complaint) -> Repair | None:
    deprecated = _DEPRECATED.search(complaint.message)
    if deprecated:
        return _drop(deprecated.group(1))
    named = _parameter(complaint)
    return _drop(named) if named and _says_unsupported(complaint) else None


def _drop(name: str) -> Repair | None:
    return None if name in KEPT or not _NAME.fullmatch(name) else Repair(action="drop", parameter=name)


def _says_unsupported(complaint: Complaint) -> bool:
    codes = {"unsupported_parameter", "unsupported_value", "unknown_parameter", "extra_forbidden"}
    return bool(complaint.codes & codes or _UNSUPPORTED_WORDS.search(complaint.message))


def _parameter(complaint: Complaint) -> str | None:
    """The top-level key that the complaint is about; None for a place inside the messages."""
    if complaint.param:
        return complaint.param if _NAME.fullmatch(complaint.param) else None
    for detail in complaint.details:
        place = sequence(detail.get("loc"))
        if place:
            return label(place[-1])
    named = _NAMED.search(complaint.message)
    return named.group(1) if named else None


def learn(learned: Mapping[str, Any], repair: Repair) -> dict[str, Any]:
    """Adds a repair to what is known about a model; equal to what was known where it adds nothing.

    ``resample`` is nothing to remember.
    """
    known = dict(learned)
    if repair.action == "smaller_schema" and isinstance(repair.value, int):
        known["schema_fields"] = min(repair.value, known.get("schema_fields", repair.value))
    elif repair.action == "this_schema" and isinstance(repair.value, str):
        others = [each for each in known.get("schemas_in_words", ()) if each != repair.value]
        known["schemas_in_words"] = [*others, repair.value][-MOST_IN_WORDS:]
    elif repair.action in ("schema", "smaller_schema", "this_schema"):
        known["schema"] = _next_step(known.get("schema", SCHEMA_STEPS[0]))
    elif repair.action == "say_json":
        known["say_json"] = True
    elif repair.action == "no_images":
        known["images"] = False
    elif repair.action == "drop" and repair.parameter:
        known["drop"] = sorted({*known.get("drop", ()), repair.parameter})
    elif repair.action in ("rename", "lower") and repair.parameter:
        known[repair.action] = {**known.get(repair.action, {}), repair.parameter: repair.value}
    return known


def _next_step(step: object) -> str:
    at = SCHEMA_STEPS.index(step) if step in SCHEMA_STEPS else 0
    return SCHEMA_STEPS[min(at + 1, len(SCHEMA_STEPS) - 1)]


def with_repairs(body: dict[str, Any], learned: Mapping[str, Any]) -> dict[str, Any]:
    """The body of a request with what was learned applied; the steps are in the order of the learning's
    meaning.

    A name is lowered before it is renamed, because the provider complained about the name that was sent.
    """
    repaired = {key: value for key, value in body.items() if key not in set(learned.get("drop", ())) - KEPT}
    renames: Mapping[str, str] = learned.get("rename", {})
    repaired = {renames.get(key, key): value for key, value in repaired.items()}
    for key, cap in learned.get("lower", {}).items():
        _lower(repaired, renames.get(key, key), cap)
    if learned.get("say_json"):
        _say_json(repaired)
    return repaired


def _lower(body: dict[str, Any], key: str, cap: float) -> None:
    if isinstance(body.get(key), int | float):
        body[key] = min(body[key], cap)


def _say_json(body: dict[str, Any]) -> None:
    """Puts the word where the provider looks for it: into the first message, where no message has it."""
    messages = body.get("messages") or []
    if not messages or any("json" in text.lower() for message in messages for text in _texts(message)):
        return
    first = {**messages[0], "content": f"{messages[0]['content']}\nAnswer in json."}
    body["messages"] = [first, *messages[1:]]


def _texts(message: Mapping[str, Any]) -> list[str]:
    """What a message says; the base64 of a picture says nothing, and holds any word by chance."""
    content = message.get("content", "")
    if not isinstance(content, list):
        return [str(content)]
    return [str(part.get("text", "")) for part in content]


def is_dropped(name: str, learned: Mapping[str, Any]) -> bool:
    """Returns whether the model is known to reject a key, also of a part of a message."""
    return name in learned.get("drop", ())


def takes_images(learned: Mapping[str, Any]) -> bool | None:
    """Returns whether the model was met to take pictures; None where it was never asked."""
    known = learned.get("images")
    return known if isinstance(known, bool) else None


def native_schema(learned: Mapping[str, Any], schema: Mapping[str, Any]) -> bool:
    """Returns whether the model may still be asked with its native structured output, by such a schema.

    One that is too large for it stands in the prompt's words, as every schema does.
    """
    too_large = learned.get("schema_fields")
    fits = not isinstance(too_large, int) or fields_in(schema) < too_large
    refused = learned.get("schemas_in_words")
    fits = fits and not (refused and digest_of(schema) in refused)
    return fits and learned.get("schema") in (None, "json_schema")


def schema_told(learned: Mapping[str, Any], structured: str = "schema") -> str:
    """Returns how the model is told the shape of an answer; ``structured`` is what it was set to at first."""
    steps = {"schema": "json_schema", "json": "json_object", "prompt": "none"}
    set_to, met = steps.get(structured, "none"), learned.get("schema", SCHEMA_STEPS[0])
    step = max((set_to, met), key=lambda each: SCHEMA_STEPS.index(each) if each in SCHEMA_STEPS else 0)
    if step != "json_schema":
        return "in words, in JSON mode" if step == "json_object" else "in words alone"
    too_large, refused = learned.get("schema_fields"), learned.get("schemas_in_words")
    told = "as a schema" if too_large is None else f"as a schema, and in words from {too_large} fields on"
    return f"{told}; in words for {len(refused)} schemas that it refused" if refused else told


def json_allowed(learned: Mapping[str, Any]) -> bool:
    """Returns whether the model may still be asked for any JSON object."""
    return learned.get("schema") != "none"
