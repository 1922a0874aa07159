"""What the OpenAPI says for generated clients."""

from __future__ import annotations

import json
import re
from typing import Any

from prompts import Registry
from web.clients import COMPONENTS, answers, leave_out_defaults


def test_each_version_has_its_answer_and_every_reference_leads_somewhere() -> None:
    registry = Registry()
    found = answers(registry)
    for name in registry.names():
        refs = [each["$ref"].removeprefix(COMPONENTS) for each in found["Answers"]["properties"][name]["anyOf"]]
        assert refs == [f"Answer_{name}_{version}" for version in registry.versions(name)]
    named = re.findall(rf'"\$ref": "{COMPONENTS}(\w+)"', json.dumps(found))
    assert set(named) <= set(found)
    assert "$defs" not in json.dumps(found)
    assert found["Answer_invoice_v2"]["properties"]["lines"]["items"] == {
        "$ref": f"{COMPONENTS}Answer_invoice_v2_Line"
    }


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
