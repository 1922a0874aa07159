"""What a provider complains about, out of whatever envelope it came in.

The shapes (docs/providers.md, section 1): ``{"error": {…}}``, ``{"error": "text"}``, ``{"message"}``,
``{"detail"}`` as text or list, flat ``{"object": "error"}``, a list of one, plain text, HTML, nothing. A
gateway wraps the error of the provider behind it as JSON in a string; both are read, the inner one first.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from docmill.llm.wire.shapes import mapping, mappings, sequence, text, whole

__all__ = ["Complaint", "complaint_in", "events_in", "unwrap"]

LONGEST_MESSAGE = 4000
DEEPEST_NESTING = 3

CODE_KEYS = ("code", "type", "status", "reason", "error_code", "error_type", "errorCode", "__type")
INNER_KEYS = ("innererror", "inner_error")

# gRPC's canonical codes, by name and by number, as the HTTP status that each stands for (google.rpc.Code).
CANONICAL_STATUS = {
    "invalid_argument": 400,
    "failed_precondition": 400,
    "out_of_range": 400,
    "unauthenticated": 401,
    "permission_denied": 403,
    "not_found": 404,
    "resource_exhausted": 429,
    "cancelled": 499,
    "internal": 500,
    "unknown": 500,
    "unavailable": 503,
    "deadline_exceeded": 504,
}
# fmt: off
GRPC_STATUS = {
    1: 499, 2: 500, 3: 400, 4: 504, 5: 404, 7: 403, 8: 429, 9: 400, 11: 400, 13: 500, 14: 503, 16: 401,
}
# fmt: on


@dataclass(frozen=True, kw_only=True)
class Complaint:
    """An error, out of its envelope."""

    message: str = ""
    codes: frozenset[str] = frozenset()
    """Every code, type, status name and reason that it carries, in lower case."""
    code: str | None = None
    """The one to show: the provider's own code, else its type."""
    param: str | None = None
    details: tuple[Mapping[str, Any], ...] = ()
    """``details`` of google.rpc, ``detail`` of FastAPI, and the like, one after another."""
    fields: Mapping[str, Any] = field(default_factory=dict)
    """The error object itself."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Headers that a gateway quotes in the body (OpenRouter)."""
    status: int | None = None
    """The HTTP status that the body itself names."""


def unwrap(body: object, *, depth: int = 0) -> Complaint:
    """The complaint in a body known to be an error. Never raises; an unknown shape is an empty complaint."""
    if isinstance(body, str):
        return _from_text(body, depth)
    if isinstance(body, list):
        return unwrap(next(iter(mappings(body)), {}), depth=depth)
    if not isinstance(body, dict):
        return Complaint()
    return _from_object(body, depth)


def complaint_in(body: object) -> Complaint | None:
    """The complaint in a body that came with a good status; None where the body is no error.

    Found are an ``error`` key, a typed error event, a failed batch, and any of these as one event of a
    stream.
    """
    if isinstance(body, str):
        found = (complaint_in(event) for event in events_in(body))
        return next((complaint for complaint in found if complaint is not None), None)
    if isinstance(body, list):
        first = mapping(next(iter(body), None))
        return unwrap(body) if len(body) == 1 and _is_error(first) else None
    if _is_error(mapping(body)):
        return unwrap(body)
    # An event of the Responses shape, which holds the response that failed.
    if _is_error(mapping(mapping(body).get("response"))):
        return unwrap(mapping(body)["response"])
    # OpenRouter: the provider behind it failed while it answered.
    error = mapping(next(iter(mappings(mapping(body).get("choices"))), None)).get("error")
    return unwrap({"error": error}) if error else None


def events_in(stream: str) -> Iterator[Mapping[str, Any]]:
    """The JSON objects of a stream, one a line, with or without the ``data:`` of server-sent events."""
    for line in stream.splitlines():
        event = _json(line.strip().removeprefix("data:").strip())
        if isinstance(event, dict):
            yield event


def _is_error(body: Mapping[str, Any]) -> bool:
    if body.get("error"):
        return True
    if body.get("type") == "error" or body.get("object") == "error":
        return True
    failed = body.get("status") == "failed" or body.get("success") is False
    return failed and bool(_listed_errors(body))


def _listed_errors(body: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    errors = body.get("errors")
    return mappings(errors) or mappings(mapping(errors).get("data"))


def _from_text(body: str, depth: int) -> Complaint:
    inner = _nested(body, depth)
    if inner is not None:
        return inner
    if "<html" in body[:2000].lower():
        return Complaint(message=_title(body))
    return Complaint(message=_short(body))


def _from_object(body: Mapping[str, Any], depth: int) -> Complaint:
    error = body.get("error")
    if isinstance(error, str) and error:
        own = _complaint({**body, "message": error})
        return _joined(_nested(error, depth), own)
    if isinstance(error, dict) and error:
        beside = _codes(body)
        return _joined(_inner(error, depth), _complaint(error, beside=beside))
    listed = _listed_errors(body)
    if listed:
        # A batch that failed was rejected as a whole: the request is at fault, whatever its own number says.
        return replace(_complaint(listed[0], beside=_codes(body)), status=400)
    return _joined(_inner(body, depth), _complaint(body))


def _inner(error: Mapping[str, Any], depth: int) -> Complaint | None:
    """The error of the provider behind a gateway, or one that was put whole into a message."""
    for value in (mapping(error.get("metadata")).get("raw"), error.get("message"), error.get("error")):
        inner = _nested(value, depth)
        if inner is not None:
            return inner
    raw = text(mapping(error.get("metadata")).get("raw"))
    return Complaint(message=_short(raw)) if raw else None


def _nested(value: object, depth: int) -> Complaint | None:
    if depth >= DEEPEST_NESTING:
        return None
    if isinstance(value, str) and value.lstrip()[:1] in ("{", "["):
        value = _json(value)
    if isinstance(value, dict | list) and value:
        return unwrap(value, depth=depth + 1)
    return None


def _json(value: str) -> object:
    if value[:1] not in ("{", "["):
        return None
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return None


def _joined(inner: Complaint | None, outer: Complaint) -> Complaint:
    if inner is None:
        return outer
    both = (inner.message, outer.message)
    return Complaint(
        message="; ".join(dict.fromkeys(part for part in both if part and part[:1] not in "{[")),
        codes=inner.codes | outer.codes,
        code=inner.code or outer.code,
        param=inner.param or outer.param,
        details=inner.details + outer.details,
        fields={**outer.fields, **inner.fields},
        headers={**inner.headers, **outer.headers},
        status=outer.status or inner.status,
    )


def _complaint(error: Mapping[str, Any], *, beside: frozenset[str] = frozenset()) -> Complaint:
    details = _details(error)
    return Complaint(
        message=_message(error, details),
        codes=_codes(error) | beside | frozenset().union(*(_codes(item) for item in details)),
        code=_shown_code(error),
        param=_param(error, details),
        details=details,
        fields=error,
        headers=_quoted_headers(error),
        status=_status(error),
    )


def _details(error: Mapping[str, Any]) -> tuple[Mapping[str, Any], ...]:
    found: list[Mapping[str, Any]] = []
    for key in ("details", "detail", "errors"):
        value = error.get(key)
        found += [value] if isinstance(value, dict) else mappings(value)
    return tuple(found)


def _message(error: Mapping[str, Any], details: tuple[Mapping[str, Any], ...]) -> str:
    for key in ("message", "Message", "msg", "detail", "title", "errorMessage"):
        if text(error.get(key)):
            return _short(error[key])
    return _short("; ".join(filter(None, map(_detail_message, details))))


def _detail_message(detail: Mapping[str, Any]) -> str:
    """A FastAPI row as text: its place and rule, never its ``input``, which may hold the document."""
    place = ".".join(str(part) for part in sequence(detail.get("loc")))
    rule = text(detail.get("msg")) or text(detail.get("message"))
    return f"{place}: {rule}" if place and rule else rule or place


def _codes(error: Mapping[str, Any]) -> frozenset[str]:
    own = [error.get(key) for key in CODE_KEYS]
    own += [mapping(error.get(key)).get("code") for key in INNER_KEYS]
    return frozenset(str(code).lower() for code in own if isinstance(code, str | int) and code != "")


def _shown_code(error: Mapping[str, Any]) -> str | None:
    for key in ("code", "status", "type", "error_type"):
        code = error.get(key)
        if isinstance(code, str | int) and not isinstance(code, bool) and code != "":
            return str(code)[:100]
    return None


def _param(error: Mapping[str, Any], details: tuple[Mapping[str, Any], ...]) -> str | None:
    if text(error.get("param")):
        return text(error["param"])
    violations = (row for item in details for row in mappings(item.get("fieldViolations")))
    return next((text(row.get("field")) for row in violations if text(row.get("field"))), None)


def _quoted_headers(error: Mapping[str, Any]) -> dict[str, str]:
    quoted = mapping(mapping(error.get("metadata")).get("headers"))
    return {str(name): str(value) for name, value in quoted.items()}


def _status(error: Mapping[str, Any]) -> int | None:
    for key in ("status", "code", "status_code", "statusCode"):
        value = error.get(key)
        named = CANONICAL_STATUS.get(value.lower()) if isinstance(value, str) else None
        if named is not None:
            return named
        code = whole(int(value) if isinstance(value, str) and re.fullmatch(r"[0-9]{1,3}", value) else value)
        if code is not None and (400 <= code < 600 or code in GRPC_STATUS):
            return GRPC_STATUS.get(code, code)
    return None


def _title(page: str) -> str:
    title = re.search(r"<title[^>]*>([^<]{1,300})", page, re.IGNORECASE)
    return _short(title.group(1)) if title else "a web page instead of an answer"


def _short(message: str) -> str:
    return " ".join(message[: 2 * LONGEST_MESSAGE].split())[:LONGEST_MESSAGE]
