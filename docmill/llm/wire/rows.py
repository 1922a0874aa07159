"""A row of a batch's result: which status and body it holds (docs/providers.md, section 7)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from docmill.llm.wire.bodies import opened
from docmill.llm.wire.shapes import mapping, text, whole

__all__ = ["answer_in_row"]

HIGHEST_STATUS = 599


def answer_in_row(status: int, body: object) -> tuple[int, object]:
    """Gives the status and body that the row of a batch holds; those of the response where it is no row."""
    row = mapping(body)
    if "custom_id" not in row:
        return status, body
    if isinstance(row.get("result"), dict):
        return _anthropic(row["result"])
    response = row.get("response")
    if isinstance(response, dict):
        told = whole(response.get("status_code"), HIGHEST_STATUS)
        return told or 200, opened(response.get("body", response))
    return status, row


def _anthropic(result: Mapping[str, Any]) -> tuple[int, object]:
    kind = text(result.get("type"))
    if kind == "succeeded":
        return 200, result.get("message")
    if kind == "errored":
        return 200, result.get("error")
    # A canceled or expired request was never made, so that it may be made again.
    unmade = {"type": "batch_expired", "message": f"the batch ended before this request: {kind[:40]}"}
    return 200, {"error": unmade}
