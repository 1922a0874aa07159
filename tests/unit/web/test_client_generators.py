"""What the OpenAPI says for generated clients."""

from __future__ import annotations

from typing import Any

from web.answer_schemas import COMPONENTS
from web.client_generators import leave_out_defaults


def test_requests_have_no_defaults_and_answers_keep_theirs() -> None:
    field = {"type": "string", "default": "bulk", "description": "Which lane"}
    schemas: dict[str, Any] = {
        "Wanted": {"properties": {"lane": dict(field), "inner": {"anyOf": [{"$ref": f"{COMPONENTS}Inner"}]}}},
        "Inner": {"properties": {"again": {"$ref": f"{COMPONENTS}Wanted"}, "number": {"default": None}}},
        "Shown": {"properties": {"lane": dict(field)}},
    }
    body = {"content": {"application/json": {"schema": {"$ref": f"{COMPONENTS}Wanted"}}}}
    answer = {"200": {"content": {"application/json": {"schema": {"$ref": f"{COMPONENTS}Shown"}}}}}
    leave_out_defaults(
        {"paths": {"/": {"post": {"requestBody": body, "responses": answer}}}, "components": {"schemas": schemas}}
    )
    assert schemas["Wanted"]["properties"]["lane"] == {
        "type": "string", "description": 'Which lane ("bulk" unless given)',
    }  # fmt: skip
    assert schemas["Inner"]["properties"]["number"] == {"description": "(null unless given)"}
    assert schemas["Shown"]["properties"]["lane"] == field
