"""The id under which a provider's support finds a request (docs/providers.md, section 2)."""

from __future__ import annotations

from collections.abc import Mapping

from docmill.llm.wire.shapes import label, mapping

__all__ = ["request_id"]

HEADERS = (
    "apim-request-id",
    "request-id",
    "x-request-id",
    "mistral-correlation-id",
    "x-ds-trace-id",
    "x-amzn-requestid",
)
"""Azure's before the common one, which it sends too."""


def request_id(headers: Mapping[str, str], body: object) -> str | None:
    """The id in a response's headers, or of an error in its body; None where neither has one."""
    named = {name.lower(): value for name, value in headers.items()}
    found = [*(named.get(name) for name in HEADERS), mapping(body).get("request_id")]
    return next(filter(None, map(label, found)), None)
