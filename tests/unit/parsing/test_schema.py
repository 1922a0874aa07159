"""The form of a value, behind references and choices."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from docmill.parsing.schema import kinds, kinds_of, labels, only_form, resolved
from docmill.parts.schemas import fields_of_rows, form_of
from prompts.order import of_kind

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


NAMES = ["a", "b", "c", "d"]
LEAVES: list[Any] = [
    *(TEXT, NULL, ROWS, ROW, {"type": ["integer", "null"]}, {"enum": ["x", 1]}, {"const": True}, {"items": TEXT}),
    *({"properties": {"again": {"$ref": "#/$defs/a"}}}, {"items": {"$ref": "#/$defs/b"}}),
    *({}, True, {"title": "says no type"}, {"$ref": "#/$defs/nowhere"}),
]
REFERENCES = st.sampled_from([{"$ref": f"#/$defs/{name}"} for name in NAMES])


def one_of(keywords: list[str], forms: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.dictionaries(st.sampled_from(keywords), st.lists(forms, max_size=3), min_size=1, max_size=2)


def defined(keywords: list[str]) -> st.SearchStrategy[dict[str, Any]]:
    """Schemas by their names, which lead to each other and back to themselves."""
    forms = st.recursive(
        st.sampled_from(LEAVES) | REFERENCES, lambda inner: one_of(keywords, inner | REFERENCES), max_leaves=6
    )
    return st.fixed_dictionaries(dict.fromkeys(NAMES, forms))


def plain_kinds(schema: Any, root: Mapping[str, Any], depth: int = 0) -> frozenset[str]:
    """As one would write it down, for schemas that come to an end."""
    if depth > 100:
        raise RecursionError
    if not isinstance(schema, Mapping):
        return frozenset()
    if "$ref" in schema:
        return plain_kinds(resolved(schema["$ref"], root), root, depth + 1)
    if "type" in schema:
        return frozenset([schema["type"]] if isinstance(schema["type"], str) else schema["type"])
    for keyword in ("anyOf", "oneOf"):
        if choices := [plain_kinds(choice, root, depth + 1) for choice in schema.get(keyword, ())]:
            return frozenset().union(*choices) if all(choices) else frozenset()
    if allowed := labels(schema):
        return frozenset().union(*map(kinds_of, allowed))
    parts = (plain_kinds(part, root, depth + 1) for part in schema.get("allOf", ()))
    by_keyword = {"object"} if "properties" in schema else {"array"} if "items" in schema else set()
    return next(filter(None, parts), frozenset(by_keyword))


@given(defs=defined(["anyOf", "oneOf", "allOf"]))
def test_what_comes_to_an_end_has_the_types_that_it_says(defs: dict[str, Any]) -> None:
    root = {"$defs": defs}
    for schema in defs.values():
        found = kinds(schema, root)
        try:
            assert found == plain_kinds(schema, root)
        except RecursionError:
            assert found <= {"string", "null", "array", "object", "integer", "number", "boolean"}
        only_form(schema, root)
        form_of(schema, root)
        assert of_kind(schema, "items", root) == {} or "items" in of_kind(schema, "items", root)


def leads_to(schema: Any, root: Mapping[str, Any], met: set[str]) -> list[Any]:
    """The forms behind references and choices."""
    if not isinstance(schema, Mapping) or not schema.keys() & {"$ref", "anyOf", "oneOf"}:
        return [schema]
    if "$ref" not in schema:
        choices = schema.get("anyOf") or schema.get("oneOf") or [True]
        return [form for choice in choices for form in leads_to(choice, root, met)]
    if schema["$ref"] in met:
        return []
    met.add(schema["$ref"])
    return leads_to(resolved(schema["$ref"], root), root, met)


@given(defs=defined(["anyOf", "oneOf"]))
@example(defs={**dict.fromkeys(NAMES, TEXT), "a": {"anyOf": [{"$ref": "#/$defs/a"}, NULL, {"$ref": "#/$defs/b"}]}})
@example(defs={**dict.fromkeys(NAMES, TEXT), "a": {"oneOf": [{"$ref": "#/$defs/a"}]}})
def test_a_choice_that_names_itself_has_the_types_of_its_other_forms(defs: dict[str, Any]) -> None:
    root = {"$defs": defs}
    for name in NAMES:
        found = [kinds(form, root) for form in leads_to({"$ref": f"#/$defs/{name}"}, root, set())]
        expected = frozenset().union(*found) if all(found) else frozenset()
        assert kinds({"$ref": f"#/$defs/{name}"}, root) == expected


@pytest.mark.parametrize(
    ("defs", "types"),
    [
        ({"a": {"anyOf": [TEXT, {"$ref": "#/$defs/a"}]}}, {"string"}),
        (
            {"a": {"anyOf": [{"$ref": "#/$defs/b"}, NULL]}, "b": {"oneOf": [TEXT, {"$ref": "#/$defs/a"}]}},
            {"string", "null"},
        ),
        ({"a": {"anyOf": [{}, {"$ref": "#/$defs/a"}]}}, set()),
        ({"a": {"anyOf": [{"$ref": "#/$defs/a"}]}}, set()),
        ({"a": {"$ref": "#/$defs/a"}}, set()),
        ({"a": {"allOf": [{"$ref": "#/$defs/a"}, TEXT]}}, {"string"}),
        ({"a": {"allOf": [{"anyOf": [{"$ref": "#/$defs/a"}, ROW]}, TEXT]}}, {"string"}),
        ({"a": {"allOf": [{"$ref": "#/$defs/a"}], "items": TEXT}}, {"array"}),
    ],
)
def test_what_leads_back_to_itself_says_nothing_more(defs: dict[str, Any], types: set[str]) -> None:
    root = {"$ref": "#/$defs/a", "$defs": defs}
    assert kinds(root) == types
    assert kinds(defs["a"], root) == types


@pytest.mark.parametrize("keyword", ["anyOf", "oneOf", "allOf"])
def test_references_that_fan_out_are_followed_once_each(keyword: str) -> None:
    """Two to each next one: 2 to the power of 3,000 ways lead to the last."""
    last = 3000
    defs: dict[str, Any] = {f"{n}": {keyword: [{"$ref": f"#/$defs/{n + 1}"}] * 2} for n in range(last)}
    root = {"$defs": {**defs, f"{last}": TEXT}}
    assert kinds({"$ref": "#/$defs/0"}, root) == (set() if keyword == "allOf" else {"string"})
    assert kinds({"$ref": f"#/$defs/{last - 50}"}, root) == {"string"}


@pytest.mark.parametrize(
    ("rows", "widest"), [({"type": "array", "items": {"$ref": "#/$defs/node"}}, 11), (TEXT, 0)]
)
def test_a_row_is_found_among_members_of_their_owners_kind(rows: Any, widest: int) -> None:
    """Ten of them, and as many in each: ten thousand million ways lead ten deep."""
    again = {f"m{n}": {"anyOf": [{"$ref": "#/$defs/node"}, NULL]} for n in range(10)}
    root = {"$ref": "#/$defs/node", "$defs": {"node": {"type": "object", "properties": {**again, "rows": rows}}}}
    assert fields_of_rows(root) == widest


def test_the_part_with_members_is_found_behind_a_choice_that_names_itself() -> None:
    again = {"$ref": "#/$defs/again"}
    root = {"$defs": {"again": {"anyOf": [again, NULL, {"$ref": "#/$defs/row"}]}, "row": ROW}}
    assert of_kind(again, "properties", root) == ROW
    assert of_kind(again, "items", root) == {}
