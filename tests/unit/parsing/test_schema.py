"""The form of a value, behind references and choices."""

from __future__ import annotations

from typing import Any

import pytest

from docmill.parsing.schema import only_form
from docmill.parts.schemas import form_of

ROW: dict[str, Any] = {"type": "object", "properties": {"name": {"type": "string"}}}
ROWS: dict[str, Any] = {"type": "array", "items": ROW}
TEXT: dict[str, Any] = {"type": "string"}
NULL: dict[str, Any] = {"type": "null"}
ROOT: dict[str, Any] = {
    "$defs": {
        "row": ROW,
        "maybe": {"anyOf": [{"$ref": "#/$defs/row"}, NULL]},
        "again": {"$ref": "#/$defs/again"},
    }
}
NARROWED = {**ROW, "anyOf": [{"required": ["name"]}, {"required": ["other"]}]}


@pytest.mark.parametrize(
    ("schema", "form"),
    [
        (TEXT, TEXT),
        (ROW, ROW),
        ({"$ref": "#/$defs/row"}, ROW),
        ({"$ref": "#/$defs/maybe"}, ROW),
        ({"anyOf": [ROWS, NULL]}, ROWS),
        ({"oneOf": [NULL, TEXT]}, TEXT),
        ({"allOf": [{"$ref": "#/$defs/maybe"}]}, ROW),
        ({"anyOf": [{"anyOf": [ROW, NULL]}, NULL]}, ROW),
        (NARROWED, NARROWED),
        ({"anyOf": [NULL]}, {"anyOf": [NULL]}),
        ({"$ref": "#/$defs/nowhere"}, {}),
        ({"$ref": "#/$defs/again"}, {}),
        (True, {}),
        (None, {}),
    ],
)
def test_one_form_is_found_by_all(schema: Any, form: Any) -> None:
    assert only_form(schema, ROOT) == form
    assert form_of(schema, ROOT) == form


@pytest.mark.parametrize(
    ("choices", "of_parts"),
    [
        ([ROW, TEXT], ROW),
        ([TEXT, ROWS, NULL], ROWS),
        ([{"$ref": "#/$defs/maybe"}, TEXT], ROW),
        ([{"anyOf": [ROW, TEXT]}, TEXT, NULL], ROW),
        ([ROW, ROWS], None),
        ([TEXT, {"type": "integer"}], None),
    ],
)
def test_of_several_a_part_takes_the_one_with_rows_and_a_view_none(choices: list[Any], of_parts: Any) -> None:
    """A view's column holds whichever it is; a part's rows are joined wherever there are some."""
    schema = {"anyOf": choices}
    assert only_form(schema, ROOT) == schema
    assert form_of(schema, ROOT) == (schema if of_parts is None else of_parts)
