"""Fields stand as the schema names them, at each depth, whatever order Postgres gave them."""

from __future__ import annotations

import json

from prompts import Registry
from prompts.order import in_order, in_prompts_order

SCHEMA = {
    "properties": {
        "seller": {"type": "string"},
        "lines": {"anyOf": [{"type": "array", "items": {"$ref": "#/$defs/Line"}}, {"type": "null"}]},
        "a": {"type": "string"},
    },
    "$defs": {"Line": {"properties": {"name": {}, "id": {}}}},
}


def test_fields_are_ordered_as_the_schema_has_them_and_strangers_come_last() -> None:
    value = {"a": 1, "z": 0, "lines": [{"id": 1, "name": "x", "b": 2}, 3, None], "seller": "s"}
    found = in_order(value, SCHEMA, SCHEMA)
    assert found == value
    assert json.dumps(found) == (
        '{"seller": "s", "lines": [{"name": "x", "id": 1, "b": 2}, 3, null], "a": 1, "z": 0}'
    )


def test_a_prompts_answer_is_ordered_and_one_of_a_prompt_that_is_gone_is_as_it_is() -> None:
    registry = Registry()
    names = list(registry.get("receipt", "v2").schema["properties"])
    value = dict.fromkeys(sorted(names, key=len))
    assert list(in_prompts_order(registry, "receipt", "v2", value)) == names
    for prompt, version in (("gone", "v1"), ("receipt", "v99"), (None, None), ("receipt", None)):
        assert in_prompts_order(registry, prompt, version, value) is value
    assert in_prompts_order(registry, "receipt", "v2", [1]) == [1]
