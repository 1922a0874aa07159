"""docmill.toml, and whether what it says can answer a prompt."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import pytest

from docmill.errors import Misconfigured
from docmill.llm.types import Request
from docmill.llm.wire import WIRES, wire_for
from docmill.llm.wire.listings import names_in
from docmill.llm.wire.schemas import closed, open_places
from docmill.settings import Models, Settings
from prompts import PromptVersion, Registry
from prompts.readiness import problems, unready

Load: TypeAlias = Callable[[str], Models]

OUTPUT = "from pydantic import BaseModel\n\n\nclass Output(BaseModel):\n    label: str\n"
OPEN_OUTPUT = OUTPUT + "    more: dict[str, str]\n"


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Load:
    monkeypatch.delenv("DOCMILL_LLM_API_KEY", raising=False)

    def load(toml: str) -> Models:
        (tmp_path / "docmill.toml").write_text(toml)
        return Settings(config=tmp_path / "docmill.toml", llm_url="http://127.0.0.1:1/v1").models

    return load


def prompt(folder: Path, ladder: str = '["small"]', *, output: str = OUTPUT, limits: str = "") -> PromptVersion:
    version = folder / "prompts" / "odd" / "v1"
    version.mkdir(parents=True)
    (version / "prompt.toml").write_text(f'description = "x"\nladder = {ladder}\n[limits]\n{limits}\n')
    (version / "output.py").write_text(output)
    for file, words in (
        ("system.j2", "{{ answer_format }}"),
        ("user.j2", "{{ document }}"),
        ("correction.j2", ""),
    ):
        (version / file).write_text(words)
    return Registry([folder / "prompts"]).get("odd")


SMALL = '[models.small]\nmodel = "m"\n'


@pytest.mark.parametrize(
    ("toml", "told"),
    [
        (
            '[models.small]\nmodel = "m"\ncontext_token = 1\n',
            "models.small.context_token: there is no such name: did you mean context_tokens?",
        ),
        ("[model.small]\n", "model: there is no such name: did you mean models?"),
        (
            SMALL + "price = { inputs = 1, output = 2 }\n",
            "models.small.price.inputs: there is no such name: did you mean input?",
        ),
        (SMALL + 'provider = "antropic"\n', "did you mean anthropic?"),
        (SMALL + 'structured = "xml"\n', "models.small.structured"),
        (SMALL + "context_tokens = -1\n", "models.small.context_tokens"),
        (SMALL + "provider = \n", "line 3"),
        ("[models.small]\n", "models.small.model: Field required"),
        (
            SMALL + 'api_key = "sk-secret-secret"\n',
            "models.small.api_key: there is no such name: did you mean api_key_env?",
        ),
    ],
)
def test_a_slip_in_docmill_toml_is_named_with_what_is_right(models: Load, toml: str, told: str) -> None:
    with pytest.raises(Misconfigured) as caught:
        models(toml)
    assert told in str(caught.value)
    assert "docmill.toml" in str(caught.value)
    assert "sk-secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("toml", "ladder", "told"),
    [
        (
            SMALL,
            '["smal"]',
            "model smal is not configured: add [models.smal] to docmill.toml (or did you mean small?)",
        ),
        (SMALL, '["small", "gpt-5"]', "model gpt-5 is not configured"),
        (SMALL + 'api_key_env = "NO_SUCH_KEY"\n', '["small"]', "takes its key from NO_SUCH_KEY, which is not set"),
        (
            SMALL + 'provider = "openai"\nbase_url = "https://api.openai.com/v1"\n',
            '["small"]',
            "has no key for openai",
        ),
        (SMALL + "context_tokens = 1100\n", '["small"]', "does not fit model small: of its window of 1100 tokens"),
        (
            SMALL + "max_output_tokens = 512\n",
            '["small"]',
            "wants answers of 1024 tokens, and model small gives 512",
        ),
        (
            SMALL + 'provider = "openai"\n',
            '["small"]',
            "openai rejects the schema of prompt odd/v1: more is an object",
        ),
    ],
)
def test_what_cannot_be_answered_is_said_with_what_to_do(
    models: Load, tmp_path: Path, toml: str, ladder: str, told: str
) -> None:
    output = OPEN_OUTPUT if "schema" in told else OUTPUT
    found = problems(prompt(tmp_path, ladder, output=output), models(toml))
    assert len(found) == 1
    assert told in found[0]


def test_a_process_without_secrets_looks_at_all_but_keys(models: Load, tmp_path: Path) -> None:
    known = models(SMALL + 'api_key_env = "NO_SUCH_KEY"\n')
    assert problems(prompt(tmp_path), known, with_keys=False) == []
    assert unready(Registry([tmp_path / "prompts"]), known).keys() == {"odd/v1"}


def test_what_is_in_order_has_no_problem(models: Load, tmp_path: Path) -> None:
    toml = SMALL + 'provider = "openai"\ncontext_tokens = 8000\nmax_output_tokens = 4000\nstructured = "json"\n'
    assert problems(prompt(tmp_path, output=OPEN_OUTPUT), models(toml)) == []
    assert unready(Registry(), models("")) == {}


def test_who_is_sent_a_closed_schema_is_warned_of_an_open_one(models: Load, tmp_path: Path) -> None:
    open_schema = {"type": "object", "properties": {"more": {"type": "object", "properties": {}}}}
    asked = Request(model="m", messages=(), max_output_tokens=9, json_schema=open_schema)
    version = prompt(tmp_path, output=OPEN_OUTPUT)
    for provider in WIRES:
        sent = json.dumps(wire_for(provider).body(asked))
        warned = problems(version, models(SMALL + f'provider = "{provider}"\n'))
        assert bool(warned) == ("additionalProperties" in sent), provider


def test_open_objects_are_found_wherever_they_are() -> None:
    schema = {
        "type": "object",
        "properties": {"a": {"anyOf": [{"type": "object"}, {"type": "null"}]}, "b": {"$ref": "#/$defs/B"}},
        "$defs": {"B": {"type": "object", "properties": {"type": {"type": "string"}}}},
    }
    assert open_places(closed(schema)) == ["a"]


def test_every_provider_says_where_its_models_are_listed() -> None:
    for provider in WIRES:
        address = wire_for(provider).list_url("http://h:1")
        assert address.startswith("http://h:1/")
        assert address.endswith(("/models", "/api/tags"))


@pytest.mark.parametrize(
    ("body", "names"),
    [
        ({"object": "list", "data": [{"id": "gpt-5"}]}, ["gpt-5"]),
        ({"models": [{"name": "models/gemini-2.5-flash"}]}, ["gemini-2.5-flash"]),
        ({"models": [{"name": "llama3:latest"}]}, ["llama3"]),
        ("<html>", []),
    ],
)
def test_the_list_of_models_is_read_in_any_shape(body: object, names: list[str]) -> None:
    assert names_in(body) == names
