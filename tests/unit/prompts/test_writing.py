"""What `prompts new` writes loads, asks for what it was given, and is harmless whatever that was."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from docmill.errors import PromptError
from docmill.llm.wire.schemas import closed
from docmill.parsing import accept
from docmill.parsing.checking import Checker
from prompts import Registry
from prompts.checking import mistakes_of
from prompts.code import load_output
from prompts.registry import BUILT_IN
from prompts.starting import Wanted, start
from prompts.writing import output_of_schema, schema_of_example

HOSTILE = st.sampled_from(
    ["class", "None", "model_config", "date", "str", "Output", "__import__('os').system('x')", '"""', "a b", "é", "ﬁ",
     "\u2028", "copy", "self", "a\nb", "\\", "{}", "1st", "_private", "match", "Field", "schema", ""]
)  # fmt: skip
NAMES = HOSTILE | st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
LEAVES = TEXTS | st.integers(-(10**9), 10**9) | st.booleans() | st.just("2026-02-03")


def answers(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.dictionaries(NAMES, inner, min_size=1, max_size=5)


ANSWERS = answers(
    st.recursive(
        LEAVES,
        lambda inner: answers(inner) | inner.flatmap(lambda one: st.lists(st.just(one), min_size=1, max_size=2)),
        max_leaves=8,
    )
)


def loaded(example: Any) -> Any:
    code = output_of_schema(schema_of_example(example), title='"""x', example=example)
    return load_output(Path("output.py"), code, module_name="written")


@given(ANSWERS)
@settings(max_examples=60)
def test_what_is_written_out_of_an_example_asks_for_its_fields_and_takes_it(example: Any) -> None:
    output = loaded(example)
    schema = output.model_json_schema()
    assert list(schema["properties"]) == list(example)
    assert Checker(closed(schema)).problems(example) == []
    assert json.loads(output.model_validate(example).model_dump_json(by_alias=True)) == example


def test_answers_come_under_the_names_that_the_example_has() -> None:
    example = {"order no": "A-17", "class": "first", "lines": [{"the name": "Tea", "price": 1.5}]}
    found = accept(json.dumps(example), loaded(example), document="order A-17 first Tea 1.50")
    assert found == example


@pytest.mark.parametrize(
    ("schema", "told"),
    [
        ([], "the schema is no object"),
        ({"type": "object"}, "the answer is an object of any fields"),
        ({"properties": {"a": {}}}, "a says no type"),
        ({"properties": {"a": {"type": "object"}}}, "a is an object of any fields"),
        ({"properties": {"a": {"type": "array"}}}, "a.[] says no type"),
        ({"properties": {"a": {"type": "null"}}}, "a says no type"),
        ({"properties": {"a": {"type": "text"}}}, "a has the type 'text'"),
        ({"properties": {"a": {"$ref": "https://example.com/x"}}}, "a refers to another file"),
        ({"properties": {"a": {"$ref": "#/$defs/b"}}}, "a refers to '#/$defs/b', which is not there"),
        ({"properties": {"a": {"enum": [1.5]}}}, "a allows values that are no texts"),
        ({"properties": {"a": {"allOf": [{"type": "string"}, {"type": "null"}]}}}, "a combines several"),
        ({"properties": {"a": {"type": "string", "pattern": "(?=x)"}}}, "a has a pattern that cannot be checked"),
        ({"properties": {f"a{n}": {"type": "string"} for n in range(501)}}, "has too many fields"),
        ({"properties": {"a": {"$ref": "#/$defs/a"}}, "$defs": {"a": {"$ref": "#/$defs/a"}}}, "nested too deep"),
    ],
)
def test_a_schema_that_no_prompt_can_ask_for_is_refused_by_its_place(schema: Any, told: str) -> None:
    with pytest.raises(PromptError) as refused:
        output_of_schema(schema, title="x")
    assert told in str(refused.value)


def test_a_schema_is_kept_in_all_that_bounds_an_answer() -> None:
    schema = {
        "type": "object",
        "required": ["kind", "parts"],
        "properties": {
            "kind": {"enum": ["a", "b's", None]},
            "parts": {"type": "array", "minItems": 1, "maxItems": 3, "items": {"$ref": "#/$defs/part"}},
            "on": {"type": "string", "format": "date", "description": 'The "day"'},
            "share": {"type": "number", "minimum": 0, "maximum": 1},
        },
        "$defs": {
            "part": {
                "type": "object",
                "properties": {
                    "code": {"type": "string", "pattern": "^[A-Z]{3}$"},
                    "below": {"type": "array", "items": {"$ref": "#/$defs/part"}},
                },
            }
        },
    }
    output = load_output(Path("output.py"), output_of_schema(schema, title="x"), module_name="written")
    right = {"kind": "b's", "parts": [{"code": "ABC", "below": [{"code": "XYZ", "below": []}]}]}
    assert output.model_validate(right)
    mistakes: list[dict[str, Any]] = [{"kind": "c"}, {"parts": []}, {"share": 2}, {"parts": [{"code": "abc"}]}]
    for wrong in mistakes:
        with pytest.raises(ValueError, match=r"validation error"):
            output.model_validate({**right, **wrong})
    assert output.model_json_schema()["properties"]["on"]["description"] == 'The "day"'


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{", ":1: this is no JSON"),
        ('{"a": NaN}', "NaN is no number"),
        ('{"a": 1, "a": 2}', "a name is given twice"),
        ('{"a": null}', "a says no type: put a value there"),
        ('{"a": []}', "a.[] says no type"),
        ('{"a": [1, "x"]}', "a.[] has values of several types"),
        ("[1]", "the example is no object"),
        ('{"a": ' + "[" * 5000 + "]" * 5000 + "}", "nested"),
    ],
)  # fmt: skip
def test_an_example_that_says_too_little_is_refused_by_its_place(tmp_path: Path, text: str, told: str) -> None:
    example = tmp_path / "answer.json"
    example.write_text(text, encoding="utf-8")
    with pytest.raises(PromptError) as refused:
        start(Registry(), tmp_path / "mine", Wanted(name="order", example=example))
    assert told in str(refused.value)
    assert str(example) in str(refused.value)
    assert not (tmp_path / "mine").exists()


def test_a_prompt_begins_without_a_mistake_and_its_next_version_is_a_draft(tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    example = tmp_path / "answer.json"
    example.write_text('{"order no": "A-17", "lines": [{"name": "Tea", "price": 1.5}, {"name": "Milk"}]}')
    registry = Registry([BUILT_IN, mine])
    for wanted in (
        Wanted(name="order", example=example),
        Wanted(name="plain"),
        Wanted(name="bill", like="invoice/v2"),
    ):
        assert start(registry, mine, wanted) == mine / wanted.name / "v1"
        assert mistakes_of(registry, wanted.name) == []
    assert start(registry, mine, Wanted(name="order")) == mine / "order" / "v2"
    assert registry.get("order").version == "v1"
    assert registry.get("order", "v2").config.draft
    assert registry.get("order", "v2").files["output.py"] == registry.get("order", "v1").files["output.py"]


@pytest.mark.parametrize("name", ["invoice", "../x", "Order", "", "a/b", "-x", "x" * 60])
def test_a_name_that_is_taken_or_none_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(PromptError):
        start(Registry([BUILT_IN, tmp_path]), tmp_path, Wanted(name=name))
    assert list(tmp_path.iterdir()) == []
