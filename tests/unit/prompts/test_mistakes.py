"""What a newcomer gets wrong is told in one line: the file, the line where there is one, and the remedy."""

from __future__ import annotations

import shutil
from pathlib import Path
from unittest.mock import Mock

import pytest

from docmill.errors import PromptUnknown
from docmill.parsing.schema import kinds
from docmill.settings import Models
from docmill.settings.models import read_config
from prompts import Registry
from prompts.checking import mistakes_of, mistakes_of_all
from prompts.registry import BUILT_IN

TOML = 'description = "x"\nladder = ["small"]\n'
CODE = "from typing import Any, Annotated\nfrom pydantic import BaseModel, Field, model_validator\nfrom docmill.parsing import Grounded\n\n"
OUTPUT = CODE + "class Output(BaseModel):\n"

MISTAKES = [
    # prompt.toml
    ("prompt.toml", "description = x\n", "prompt.toml:1: this is no TOML"),
    ("prompt.toml", 'description = "x"\nladder = ["small"\n', "prompt.toml:2: this is no TOML"),
    ("prompt.toml", TOML + 'lader = ["large"]\n', "prompt.toml:3: lader: there is no such name: did you mean ladder?"),
    (
        "prompt.toml",
        TOML + "[limits]\nmax_output_token = 9\n",
        "prompt.toml:4: limits.max_output_token: there is no such name: did you mean max_output_tokens?",
    ),
    ("prompt.toml", TOML + "[limit]\nmax_output_tokens = 900\n", "prompt.toml:3: limit: there is no such name: did you mean limits?"),
    ("prompt.toml", TOML + "[cache]\nenable = false\n", "prompt.toml:4: cache.enable: there is no such name: did you mean enabled?"),
    ("prompt.toml", 'ladder = ["small"]\n', "prompt.toml: description is missing: add description"),
    ("prompt.toml", 'description = "x"\n', "prompt.toml: ladder is missing: add ladder"),
    ("prompt.toml", 'description = "x"\nladder = "small"\n', "prompt.toml:2: ladder: Input should be a list, as"),
    ("prompt.toml", TOML + "[limits]\nmax_output_tokens = 0\n", "prompt.toml:4: limits.max_output_tokens: Input should be greater than 0"),
    ("prompt.toml", TOML + "[limits]\nmax_output_tokens = 9\n", "prompt.toml:4: limits.max_output_tokens = 9 cuts answers off"),
    ("prompt.toml", TOML.replace("small", "smal"), "prompt.toml:2: model smal is not configured: add [models.smal] to docmill.toml (or did you mean small?)"),
    ("prompt.toml", TOML + "[params.shop]\n", "prompt.toml:3: params.shop.description is missing"),
    ("prompt.toml", TOML + '[params.shop]\ndescription = "?"\n', "prompt.toml:3: params.shop: no template uses it"),
    ("prompt.toml", TOML + '[params.document]\ndescription = "?"\n', "prompt.toml:3: params.document: docmill gives document itself"),
    ("prompt.toml", TOML + '[params."the shop"]\ndescription = "?"\n', "prompt.toml:3: params.the shop: no template can say that name"),
    ("prompt.toml", TOML + '[retrieval]\ncollection = "kb"\n', "retrieval.collection names no parameter: 'kb'"),
    # templates
    ("user.j2", "{{ documnet }}\n", "user.j2:1: {{ documnet }} is given to no user.j2: did you mean document?"),
    ("user.j2", "\n{{ document }}\n{{ shop }}", "user.j2:3: {{ shop }} is given to no user.j2: declare it, as [params.shop]"),
    ("user.j2", "Read it.\n", "user.j2: {{ document }} is missing: without it the model is shown no document"),
    ("system.j2", "Read it.\n", "system.j2: {{ answer_format }} is missing: without it the model is not told"),
    ("system.j2", "{{ answer_format }}\n{{ document }}\n", "system.j2:2: {{ document }} is given to no system.j2: it belongs into user.j2"),
    ("correction.j2", "Try again.\n", "correction.j2: {{ problems }} is missing"),
    ("correction.j2", "{{ problem }}\n", "correction.j2:1: {{ problem }} is given to no correction.j2: did you mean problems?"),
    ("user.j2", "\n{{ document }\n", "user.j2:2: this is no template"),
    ("user.j2", "{% if document %}{{ document }}\n", "user.j2:1: this is no template"),
    ("user.j2", "{{ document | shorten }}\n", "user.j2:1: this is no template (No filter named 'shorten'"),
    ("user.j2", "{% include 'a.j2' %}{{ document }}\n", "user.j2:1: a template reads no other file"),
    ("user.j2", "{{ document.text }}\n", "user.j2: this is no template"),
    # output.py
    ("output.py", OUTPUT + "    total int\n", "output.py:6: this is no Python"),
    ("output.py", "import nowhere\n", "output.py:1: there is no module nowhere"),
    ("output.py", "class Output:\n    total: int\n", "output.py: Output must be a Pydantic model"),
    ("output.py", CODE + "class Outptu(BaseModel):\n    total: int\n", "output.py: it must define a Pydantic model named Output: did you mean Outptu?"),
    ("output.py", CODE + "raise RuntimeError('boom')\n", "output.py:5: it raises when it is loaded (RuntimeError: boom)"),
    ("output.py", CODE + "LIMIT = 1 / 0\n", "output.py:5: it raises when it is loaded (ZeroDivisionError"),
    ("output.py", CODE + "raise SystemExit\n", "output.py:5: it raises when it is loaded (SystemExit"),
    ("output.py", OUTPUT + "    total: Decimal\n", "output.py:6: Decimal is not defined"),
    ("output.py", "from __future__ import annotations\n" + OUTPUT + "    on: date\n", "output.py:7: date is not defined, and Output has a field of it"),
    ("output.py", OUTPUT + "    total = Field(description='?')\n", "output.py:5: it raises when it is loaded (PydanticUserError"),
    ("output.py", CODE + "class Money: pass\nclass Output(BaseModel):\n    a: Money\n", "output.py:6: a field has the type"),
    ("output.py", CODE + "from collections.abc import Callable\nclass Output(BaseModel):\n    a: int\n    f: Callable[[], int]\n", "output.py:8: f has a type that JSON Schema cannot say"),
    ("output.py", OUTPUT + "    a: int = Field(json_schema_extra={'type': 'money'})\n", "output.py: Output: the schema is no JSON Schema: properties.a.type"),
    ("output.py", OUTPUT + "    total: Any\n", "output.py:6: total says no type"),
    ("output.py", OUTPUT + "    lines: list\n", "output.py:6: lines says no type"),
    ("output.py", CODE + "class Line(BaseModel):\n    a: dict\nclass Output(BaseModel):\n    lines: list[Line]\n", "output.py:6: a is an object of any fields, which providers refuse"),
    ("output.py", CODE + "class Page(BaseModel):\n    line: 'Line'\nclass Line(BaseModel):\n    a: dict\nclass Output(BaseModel):\n    page: Page\n", "output.py:8: a is an object of any fields, which providers refuse"),
    ("output.py", OUTPUT + "    pass\n", "output.py: Output has no field"),
    ("output.py", CODE + "class Node(BaseModel):\n    a: int\n    left: 'Node'\nclass Output(BaseModel):\n    root: Node\n", "output.py:7: left demands one more Node in each, without end"),
    ("output.py", OUTPUT + "    rows: list['Output'] = Field(min_length=1)\n", "output.py:6: rows demands one more Output in each, without end"),
    ("output.py", OUTPUT + "    a: int\n    _note: str = ''\n", "output.py:7: _note is no field, because it begins with _: call it note"),
    ("output.py", OUTPUT + "    a: Annotated[str, Grounded]\n", "output.py:6: Grounded demands nothing so: write Grounded()"),
    (
        "output.py",
        OUTPUT + "    a: int\n    @model_validator(mode='after')\n    def check(self):\n        assert self.a\n",
        "output.py:8: the check check returns nothing, and the answer is lost: end it with return self",
    ),
    (
        "output.py",
        OUTPUT + "    model_config = {'json_schema_extra': {'examples': [{'b': 1}]}}\n    a: int\n",
        "output.py: the example is no right answer (a: Field required",
    ),
]  # fmt: skip


@pytest.fixture
def own(tmp_path: Path) -> Path:
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(BUILT_IN / "summary" / "v2", tmp_path / "ticket" / "v1", ignore=ignored)
    (tmp_path / "ticket" / "v1" / "prompt.toml").write_text(TOML, encoding="utf-8")
    return tmp_path


def models() -> Models:
    return Models(read_config(None), base_url=None, key=None)


def told(own: Path) -> list[str]:
    return mistakes_of(Registry([own]), "ticket", models())


@pytest.mark.parametrize(
    ("file", "text", "line"), MISTAKES, ids=[f"{each[0]}-{at}" for at, each in enumerate(MISTAKES)]
)
def test_a_mistake_is_one_line_with_its_file_and_its_remedy(own: Path, file: str, text: str, line: str) -> None:
    (own / "ticket" / "v1" / file).write_text(text, encoding="utf-8")
    found = told(own)
    assert len(found) == 1, found
    assert "\n" not in found[0]
    assert found[0].startswith(f"{own / 'ticket' / 'v1'}/{file}")
    assert line in found[0]
    assert ": " in found[0].removeprefix(str(own)).partition(": ")[2] or "?" in found[0]


def test_what_is_right_has_no_mistake(own: Path) -> None:
    assert told(own) == []
    assert mistakes_of_all(Registry(), models()) == []


ENDING = [
    "    left: 'Node | None'\n    right: 'Node | None'\n",
    "    left: 'Node' = Field(None)\n    right: 'Node' = Field(None)\n",
    "    inner: list['Node']\n    pair: list['Node'] = Field(None, min_length=2)\n",
    "    a: int\n",
]


@pytest.mark.parametrize("fields", ENDING)
def test_what_may_hold_itself_and_need_not_has_no_mistake(own: Path, fields: str) -> None:
    code = CODE + f"class Node(BaseModel):\n{fields}class Output(BaseModel):\n    root: Node\n    other: Node\n"
    (own / "ticket" / "v1" / "output.py").write_text(code, encoding="utf-8")
    assert told(own) == []


@pytest.mark.parametrize("default", ["Field(None)", "Field()"])
def test_a_form_that_holds_itself_often_is_looked_at_once(
    own: Path, monkeypatch: pytest.MonkeyPatch, default: str
) -> None:
    fields = "".join(f"    part{number}: 'Node' = {default}\n" for number in range(4))
    code = CODE + f"class Node(BaseModel):\n{fields}class Output(BaseModel):\n    root: Node\n"
    (own / "ticket" / "v1" / "output.py").write_text(code, encoding="utf-8")
    looked = Mock(wraps=kinds)
    monkeypatch.setattr("prompts.checking.kinds", looked)
    assert len(told(own)) == (0 if default == "Field(None)" else 4)
    assert looked.call_count < 20


def test_all_mistakes_are_told_and_not_only_the_first(own: Path) -> None:
    version = own / "ticket" / "v1"
    (version / "prompt.toml").write_text("lader = 1\n", encoding="utf-8")
    (version / "user.j2").write_text("{{ documnet }}", encoding="utf-8")
    (version / "output.py").write_text("class Output(", encoding="utf-8")
    (version / "correction.j2").unlink()
    names = sorted({Path(each.partition(":")[0]).name for each in told(own)})
    assert names == ["correction.j2", "output.py", "prompt.toml", "user.j2"]


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        (
            "ticket/v1/user.j2",
            "ticket/v1/user.jinja2",
            "user.j2: the file is missing: rename user.jinja2 to user.j2",
        ),
        (
            "ticket/v1/system.j2",
            "ticket/v1/sytem.j2",
            "system.j2: the file is missing: rename sytem.j2 to system.j2",
        ),
        ("ticket/v1/prompt.toml", "ticket/v1/Prompt.toml", "prompt.toml: the file is missing: rename Prompt.toml"),
        (
            "ticket/v1/correction.j2",
            "gone",
            "correction.j2: the file is missing: copy it from a prompt that ships",
        ),
    ],
)
def test_a_file_under_another_name_is_recognised(own: Path, old: str, new: str, line: str) -> None:
    (own / old).rename(own / new)
    assert len(told(own)) == 1
    assert line in told(own)[0]


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ("ticket/v1", "ticket/version1", "version1: a version is called v1, v2 and so on: rename it to v1"),
        ("ticket/v1", "ticket/2", "2: a version is called v1, v2 and so on: rename it to v2"),
        ("ticket/v1/user.j2", "ticket/user.j2", "user.j2: it is in no version: move it into"),
    ],
)
def test_what_lies_astray_is_told(own: Path, old: str, new: str, line: str) -> None:
    (own / old).rename(own / new)
    found = [each for each in mistakes_of_all(Registry([own])) if "is missing" not in each]
    assert len(found) == 1
    assert line in found[0]


def test_a_folder_that_is_one_prompt_is_not_a_folder_of_prompts(own: Path) -> None:
    assert "name the folder that it lies in, in DOCMILL_PROMPTS" in "\n".join(
        mistakes_of_all(Registry([own / "ticket"]))
    )


def test_an_unknown_prompt_names_the_folders_that_were_looked_into_and_what_lies_astray(own: Path) -> None:
    (own / "letter").mkdir()
    (own / "letter" / "user.j2").touch()
    with pytest.raises(PromptUnknown, match=f"Looked into {BUILT_IN}, {own}; mend DOCMILL_PROMPTS"):
        Registry([BUILT_IN, own]).get("complaint")
    with pytest.raises(PromptUnknown, match="it is in no version: move it into"):
        Registry([BUILT_IN, own]).get("letter")
    for name in ("..", "../ticket", "", ".", "a\0b", "x" * 5000):
        with pytest.raises(PromptUnknown):
            Registry([own]).get(name)


def test_a_broken_prompt_breaks_no_other(own: Path) -> None:
    (own / "ticket" / "v1" / "output.py").write_text("raise SystemExit", encoding="utf-8")
    registry = Registry([BUILT_IN, own])
    assert registry.get("receipt").schema
    assert "ticket" in registry.names()
    assert len(registry.check()) == 1


def test_a_list_of_releases_that_cannot_be_read_is_told(own: Path) -> None:
    (own / "released.toml").write_text("ticket/v1 = 3\n", encoding="utf-8")
    assert [each for each in mistakes_of_all(Registry([own])) if "released.toml:1: this is no TOML" in each]
