"""The prompts that ship, and a user's own beside them."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from docmill.errors import PromptBroken, PromptError, PromptUnknown, ReplyInvalid, ReplyWrong, VariableMissing
from docmill.parsing import accept
from prompts import Excerpt, Registry
from prompts.registry import BUILT_IN
from prompts.version import NOTHING_FOUND

NAMES = ["answer", "document_type", "invoice", "nda", "receipt", "statement", "summary"]
TOML = 'description = "x"\nladder = ["small"]\n'
DOCUMENT = Excerpt(passages=("TOTAL 12.00",))


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A folder with one prompt of a user's own: a copy of ``receipt`` under another name."""
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(BUILT_IN / "receipt" / "v2", tmp_path / "ticket" / "v1", ignore=ignored)
    return tmp_path


def write(own: Path, file: str, text: str) -> None:
    (own / "ticket" / "v1" / file).write_text(text, encoding="utf-8")


def test_the_prompts_that_ship_load_and_are_as_released() -> None:
    registry = Registry()
    assert registry.names() == NAMES
    assert registry.check() == []


@pytest.mark.parametrize("name", NAMES)
def test_messages_hold_instructions_schema_example_and_document(name: str) -> None:
    prompt = Registry().get(name)
    system, user = prompt.render(DOCUMENT, dict.fromkeys(prompt.config.params, "given"))
    assert json.dumps(prompt.schema, separators=(",", ":")) in system.content
    assert "For example:\n```json\n{" in system.content
    assert "TOTAL 12.00" not in system.content
    before, fenced = user.content.partition(DOCUMENT.fenced)[:2]
    assert fenced
    assert before == (f"{NOTHING_FOUND}\n" if name == "answer" else "")


@pytest.mark.parametrize("field", ["default", "examples", "title", "required", "enum", "const", "properties"])
def test_a_field_may_be_called_as_a_keyword_of_json_schema_is(own: Path, field: str) -> None:
    write(own, "output.py", f"from pydantic import BaseModel\n\n\nclass Output(BaseModel):\n    {field}: str\n")
    schema = Registry([own]).get("ticket").schema
    assert schema == {
        "properties": {field: {"type": "string"}},
        "required": [field],
        "type": "object",
        "additionalProperties": False,
    }


@pytest.mark.parametrize("name", NAMES)
def test_each_object_of_a_schema_is_closed_and_complete(name: str) -> None:
    schema = Registry().get(name).schema
    for part in [schema, *schema.get("$defs", {}).values()]:
        assert part["additionalProperties"] is False
        assert set(part["required"]) == set(part["properties"])


@given(st.lists(st.text(), min_size=1).map(tuple))
def test_no_document_can_close_its_own_fence(passages: tuple[str, ...]) -> None:
    fenced = Excerpt(passages=passages).fenced
    closing = fenced.rsplit("\n", 1)[1]
    assert fenced.count(closing) == 1


@given(st.lists(st.text(alphabet=st.characters(exclude_categories=["Cs"])), min_size=1, max_size=4).map(tuple))
def test_no_found_passage_can_close_its_fence_or_take_another_number(found: tuple[str, ...]) -> None:
    numbered = Excerpt(passages=(), found=found).numbered
    closing = numbered.rsplit("\n", 1)[1]
    opening = closing.replace("</", "<").removesuffix(">")
    assert numbered.count(closing) == numbered.count(opening) == len(found)
    for number, passage in enumerate(found, start=1):
        assert f'{opening} number="{number}">\n{passage}\n{closing}' in numbered


def test_fields_ask_by_their_names_and_descriptions_unless_a_parameter_asks(own: Path) -> None:
    nda, invoice = Registry().get("nda"), Registry().get("invoice")
    assert "governing law. State or country" in nda.asked({})
    assert any(asked.startswith("lines") and "line total" in asked for asked in invoice.asked({}))
    write(own, "prompt.toml", TOML + '[params.question]\ndescription = "What is asked"\n')
    assert Registry([own]).get("ticket").asked({"question": "When?"}) == ("When?",)
    write(own, "prompt.toml", TOML + '[retrieval]\nby = "ends"\n')
    assert Registry([own]).get("ticket").asked({}) == ()


@pytest.mark.parametrize("name", ["document_type", "summary"])
def test_what_asks_for_the_whole_asks_for_no_passage(name: str) -> None:
    assert Registry().get(name).asked({}) == ()


@pytest.mark.parametrize("field", ["question", "collection"])
def test_retrieval_names_parameters_that_are_there(own: Path, field: str) -> None:
    write(own, "prompt.toml", TOML + f'[retrieval]\n{field} = "nobody"\n')
    with pytest.raises(PromptBroken, match=f"retrieval.{field} names no parameter: 'nobody'"):
        Registry([own]).get("ticket")


def test_a_document_is_never_read_as_a_template() -> None:
    _, user = Registry().get("receipt").render(Excerpt(passages=("{{ 7 * 7 }} {% for %}",)), {})
    assert "{{ 7 * 7 }} {% for %}" in user.content


def test_a_correction_shows_the_reply_and_what_is_wrong_with_it() -> None:
    prompt = Registry().get("receipt")
    messages = prompt.render_correction(prompt.render(DOCUMENT, {}), '{"total": "?"}', ["total: must be a number"])
    assert [message.role for message in messages] == ["system", "user", "assistant", "user"]
    assert messages[2].content == '{"total": "?"}'
    assert "- total: must be a number" in messages[3].content
    again = prompt.render_correction(messages, "{}", ["total: is missing"])
    assert len(again) == 4


def test_adding_a_prompt_is_adding_a_folder(own: Path) -> None:
    registry = Registry([BUILT_IN, own])
    assert "ticket" in registry.names()
    assert registry.get("ticket").output_model.__name__ == "Output"


def test_without_a_version_the_highest_that_is_no_draft_is_taken(own: Path) -> None:
    for version in ("v2", "v10"):
        shutil.copytree(own / "ticket" / "v1", own / "ticket" / version)
    settings = (own / "ticket" / "v10" / "prompt.toml").read_text(encoding="utf-8")
    (own / "ticket" / "v10" / "prompt.toml").write_text(f"draft = true\n{settings}", encoding="utf-8")
    registry = Registry([own])
    assert registry.versions("ticket") == ["v1", "v2", "v10"]
    assert registry.get("ticket").version == "v2"
    assert registry.get("ticket", "v10").config.draft


@pytest.mark.parametrize("to", ["v2", "nowhere"])
def test_a_link_that_leads_nowhere_hides_no_version(own: Path, to: str) -> None:
    (own / "ticket" / "v2").symlink_to(to)
    assert Registry([own]).versions("ticket") == ["v1"]


def test_a_changed_release_is_found(own: Path) -> None:
    released = Registry([own]).get("ticket").content_hash.hex()
    (own / "released.toml").write_text(f'"ticket/v1" = "{released}"\n', encoding="utf-8")
    assert Registry([own]).check() == []
    write(own, "user.j2", "{{ document }} changed")
    told = "ticket/v1 is released, and its files have changed: restore them, and make a new version"
    assert Registry([own]).check() == [f"{own / 'released.toml'}:1: {told}"]


def test_the_hashes_of_releases_are_read_again_once_they_have_changed(own: Path) -> None:
    registry = Registry([own])
    hashes = own / "released.toml"
    hashes.write_text(f'"ticket/v1" = "{registry.get("ticket").content_hash.hex()}"\n', encoding="utf-8")
    os.utime(hashes, (1, 1))  # left alone for long
    assert registry.get("ticket") is registry.get("ticket")
    hashes.write_text(f'"ticket/v1" = "{"0" * 64}"\n', encoding="utf-8")
    with pytest.raises(PromptBroken, match="is released"):
        registry.get("ticket")
    hashes.unlink()
    assert registry.get("ticket")


def test_an_unknown_prompt_is_answered_with_the_nearest() -> None:
    with pytest.raises(PromptUnknown, match=r"did you mean invoice\? Looked into .*prompts; set DOCMILL_PROMPTS"):
        Registry().get("invoce")
    with pytest.raises(PromptUnknown, match="it has v1"):
        Registry().get("invoice", "v9")


def test_the_same_name_twice_is_refused_and_harms_no_other(own: Path) -> None:
    shutil.copytree(own / "ticket", own / "receipt")
    registry = Registry([BUILT_IN, own])
    with pytest.raises(PromptBroken, match="have the same name"):
        registry.get("receipt")
    assert registry.get("ticket").version == "v1"
    assert [told for told in registry.check() if "have the same name: rename one" in told]


def test_parameters_are_checked_both_ways(own: Path) -> None:
    settings = (own / "ticket" / "v1" / "prompt.toml").read_text(encoding="utf-8")
    write(own, "prompt.toml", f'{settings}\n[params.shop]\ndescription = "Whose ticket"\n')
    write(own, "user.j2", "{{ shop }}: {{ document }}")
    prompt = Registry([own]).get("ticket")
    assert prompt.render(DOCUMENT, {"shop": "A"})[1].content.startswith("A: ")
    with pytest.raises(VariableMissing, match="needs the variable 'shop'"):
        prompt.render(DOCUMENT, {})
    with pytest.raises(PromptError, match="has no parameter 'shp': it takes shop"):
        prompt.render(DOCUMENT, {"shp": "A"})


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("prompt.toml", "ladder = [", "prompt.toml"),
        ("prompt.toml", 'description = "x"\nladder = ["small"]\nlader = 1', "lader"),
        ("output.py", "class Outpt: pass", "must define a Pydantic model named Output"),
        ("output.py", "import nowhere", "output.py:1: there is no module nowhere"),
        ("user.j2", "x" * 100_001, "100000 are allowed"),
    ],
)
def test_files_that_do_not_load_are_named(own: Path, file: str, text: str, message: str) -> None:
    write(own, file, text)
    with pytest.raises(PromptBroken, match=message):
        assert Registry([own]).get("ticket").schema


def test_a_template_cannot_leave_its_sandbox(own: Path) -> None:
    write(own, "user.j2", "{{ document.__class__.__mro__ }}")
    with pytest.raises((PromptBroken, VariableMissing)):
        Registry([own]).get("ticket").render(DOCUMENT, {})


INVOICE = "2024-117 2024-02-01 2024-03-01 Example Paper Works Sample Library Envelopes 2 8.00 Shipping 2.00 10.00 1.90 11.90"


@pytest.mark.parametrize(
    ("prompt", "document", "change", "message"),
    [
        ("receipt", "EXAMPLE TEA HOUSE 09/03/2018 12.50 -12.50", {"total": -12.5}, "total is below zero"),
        ("receipt", "EXAMPLE TEA HOUSE 09/03/1918 12.50", {"date": "1918-03-09"}, "before 1980"),
        (
            "nda",
            "Example Works Ltd May 4, 2012 Delaware two years",
            {"parties": ["Example Works Ltd"] * 2},
            "a party is named twice",
        ),
        ("document_type", "Invoice No due", {"words": ["due", "Due"]}, "a word is named twice"),
        (
            "summary",
            "the bridge opened in May",
            {"sentences": [{"text": "A.", "quote": "bridge"}] * 2},
            "a sentence stands there twice",
        ),
        (
            "invoice",
            "2024-117 2024-02-01 2024-03-01 Example Paper Works Sample Library Envelopes 2 8.00 Shipping 2.00 10.00 1.90 11.90 12.90",
            {"grand_total": 12.9},
            "do not add up",
        ),
        (
            "invoice",
            f"{INVOICE} 2024-01-01",
            {"due_date": "2024-01-01"},
            "is before issue_date",
        ),
    ],
)
def test_semantic_checks_of_each_prompt(
    prompt: str, document: str, change: dict[str, object], message: str
) -> None:
    version = Registry().get(prompt)
    with pytest.raises(ReplyWrong, match=message):
        accept(json.dumps({**version.example, **change}), version.output_model, document=document)


def test_the_example_of_the_invoice_is_itself_right() -> None:
    version = Registry().get("invoice")
    assert accept(json.dumps(version.example), version.output_model, document=INVOICE)["currency"] == "EUR"


ENVELOPES = {"name": "Envelopes", "quantity": 2, "line_total": 8.0}
SHIPPING = {"name": "Shipping", "quantity": None, "line_total": 2.0}


@pytest.mark.parametrize(
    "change",
    [
        {"lines": [ENVELOPES]},
        {"lines": [ENVELOPES, ENVELOPES, SHIPPING]},
        {"lines": [ENVELOPES, {**SHIPPING, "line_total": 1.9}]},
        {"lines": [], "net_total": 8.0},
        {"tax_total": 2.0},
        {"lines": [{**ENVELOPES, "line_total": 9.0}, SHIPPING]},
        {"lines": [{**ENVELOPES, "quantity": 7}, SHIPPING]},
        {"due_date": "2024-03-02"},
    ],
)
def test_an_invoice_that_does_not_add_up_or_is_not_what_was_billed_is_wrong(change: dict[str, object]) -> None:
    version = Registry().get("invoice")
    with pytest.raises(ReplyWrong):
        accept(json.dumps({**version.example, **change}), version.output_model, document=INVOICE)


@pytest.mark.parametrize(
    "change",
    [
        {"lines": []},
        {"lines": [ENVELOPES, {**SHIPPING, "line_total": None}]},
        {"lines": [{**ENVELOPES, "line_total": 11.9}]},
        {"net_total": None, "lines": [{**ENVELOPES, "line_total": 11.9}]},
    ],
)
def test_lines_of_which_something_is_unknown_or_that_hold_the_tax_are_right(change: dict[str, object]) -> None:
    version = Registry().get("invoice")
    assert accept(json.dumps({**version.example, **change}), version.output_model, document=INVOICE)


def test_the_address_of_a_receipt_stands_in_it_whatever_parts_its_lines() -> None:
    version = Registry().get("receipt")
    document = "EXAMPLE TEA HOUSE\n1, Sample Street\n12345 Sampletown\n09/03/2018\nTOTAL 12.50"
    right = {**version.example, "address": "1 Sample Street, 12345 Sampletown"}
    assert accept(json.dumps(right), version.output_model, document=document)
    with pytest.raises(ReplyWrong):
        accept(json.dumps({**right, "address": "2 Sample Street"}), version.output_model, document=document)


@pytest.mark.parametrize("name", ["address", "currency"])
def test_a_field_that_was_left_out_is_no_null(name: str) -> None:
    version = Registry().get("receipt")
    document = "EXAMPLE TEA HOUSE\n1 Sample Street\n09/03/2018\nTOTAL 12.50"
    left_out = {key: value for key, value in version.example.items() if key != name}
    with pytest.raises(ReplyInvalid, match=f"{name}: is missing"):
        accept(json.dumps(left_out), version.output_model, document=document)
    assert accept(json.dumps({**left_out, name: None}), version.output_model, document=document)[name] is None
