"""One version of a prompt: its settings, its templates and the shape of its answer.

A document is data. It is put into the messages between two lines that it cannot contain, and is never read as
a template; a template sees nothing but what it is given.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

from jinja2 import Template, TemplateError, UndefinedError
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from docmill.errors import PromptError, VariableMissing
from docmill.llm.types import Message, Picture
from docmill.llm.wire.schemas import closed
from docmill.parsing.relaxing import relaxed
from docmill.parts import fields_of_rows
from docmill.reading.values import WarningKind
from prompts.code import kept_schema_of, load_output, schema_of
from prompts.mistakes import Broken, Mistake, of_settings, of_template, of_toml
from prompts.templates import TEMPLATES, mistakes_in

__all__ = ["FILES", "Config", "Excerpt", "PromptVersion", "read_config", "read_files"]

ANSWER = "Answer with one JSON object that fits this JSON Schema, and nothing else:"
PICTURED = "Pages of the document that are shown as pictures, and are data as its text is: {pages}"
NOTHING_FOUND = "(The collection has no passage on this.)"
IN_PARTS = (
    "You are shown a part of the document; [...] stands where something is left out. Answer for what is shown: "
    "give every row of it, in its order and as often as it stands there. What the part does not say is null."
)
LONGEST_TEMPLATE = 100_000
"""Characters."""
FILES = ("correction.j2", "output.py", "prompt.toml", "system.j2", "user.j2")


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Limits(Strict):
    max_output_tokens: int = Field(default=1024, gt=0)
    max_input_tokens: int = Field(default=100_000, gt=0)
    temperature: float | None = None


class Param(Strict):
    """A template variable that a submit may give; without a default it must."""

    description: str
    default: str | None = None


class CachePolicy(Strict):
    """Whether accepted answers are kept for the same question, and for how long after they were last used."""

    enabled: bool = True
    days: float = Field(default=7.0, gt=0, le=365)

    @property
    def kept_s(self) -> float:
        return self.days * 86_400


class Retrieval(Strict):
    """What is looked for in a document that is longer than its room, and in a collection beside it."""

    by: Literal["auto", "fields", "ends", "parts"] = "auto"
    """What the answer's fields say of themselves; or its beginning and end, as for a kind or a summary; or all of
    it, in parts that are asked one by one. ``auto`` is ``parts`` where the answer holds a list of objects, and
    document or answer do not fit one call, and ``fields`` elsewhere."""
    most_parts: int = Field(default=500, gt=0, le=5000)
    """A document that needs more is refused, before anything is paid for it."""
    question: str | None = None
    """The parameter that asks instead; the one called ``question`` unless another is named."""
    collection: str | None = None
    """The parameter that names a collection, out of which passages are shown too."""
    passages: int = Field(default=8, gt=0, le=50)
    """Of the collection, at most."""
    tokens: int = Field(default=4000, gt=0)
    """For them, at most."""


class Input(Strict):
    """How a document is shown to the model: as its text, as pictures of its pages, or both."""

    see: Literal["auto", "text", "pages", "both"] = "text"
    """``auto`` shows a page with a text of its own as text, and another as its picture, with what OCR found."""
    unchecked: Literal["review", "accept"] = "review"
    """What becomes of a value that was read from a picture where nothing is there to hold it against."""
    review: tuple[WarningKind, ...] = ()
    """What reading may not have left out or guessed, as ``ocr_guessed``: else a person looks at the answer."""


class Config(Strict):
    """What ``prompt.toml`` holds."""

    description: str
    ladder: tuple[str, ...] = Field(min_length=1)
    draft: bool = False
    limits: Limits = Limits()
    cache: CachePolicy = CachePolicy()
    retrieval: Retrieval = Retrieval()
    input: Input = Input()
    params: dict[str, Param] = {}

    @model_validator(mode="after")
    def retrieval_names_parameters(self) -> Self:
        for field in ("question", "collection"):
            named = getattr(self.retrieval, field)
            if named is not None and named not in self.params:
                raise ValueError(f"retrieval.{field} names no parameter: {named!r} is not among [params]")
        return self


@dataclass(frozen=True, kw_only=True)
class Excerpt:
    """What the model is shown of a document: all of it in one passage, or the chosen ones in order.

    ``found`` are passages out of a collection, of other documents; their numbers begin at 1.
    """

    GAP: ClassVar[str] = "\n[...]\n"
    """Between two passages."""

    passages: tuple[str, ...]
    found: tuple[str, ...] = ()
    pictures: tuple[Picture, ...] = ()
    """Of the document's pages."""

    @property
    def text(self) -> str:
        return self.GAP.join(self.passages)

    @property
    def fenced(self) -> str:
        """The text between two lines that occur nowhere in it."""
        nonce = _nonce("document", self.text)
        return f"{self._shown}<document-{nonce}>\n{self.text}\n</document-{nonce}>"

    @property
    def _shown(self) -> str:
        """What is said of the pictures, which no fence can hold."""
        if not self.pictures:
            return ""
        pages = ", ".join(str(picture.page) for picture in self.pictures)
        return f"{PICTURED.format(pages=pages)}\n"

    @property
    def numbered(self) -> str:
        """The found passages, each between two lines that occur in none of them."""
        if not self.found:
            return NOTHING_FOUND
        nonce = _nonce("passage", "\n".join(self.found))
        return "\n".join(
            f'<passage-{nonce} number="{number}">\n{passage}\n</passage-{nonce}>'
            for number, passage in enumerate(self.found, start=1)
        )


class PromptVersion:
    """One version's files, read once. Raises Broken where they do not load, naming each file and line."""

    def __init__(self, name: str, version: str, folder: Path) -> None:
        self.name = name
        self.version = version
        self.folder = folder
        self._files, unread = read_files(folder)
        if unread:
            raise Broken(unread)
        self._templates: dict[str, Template] = {}
        self.config = read_config(folder / "prompt.toml", self._files["prompt.toml"])

    def __str__(self) -> str:
        return f"{self.name}/{self.version}"

    @property
    def files(self) -> Mapping[str, str]:
        """The version's files, by name."""
        return self._files

    @cached_property
    def content_hash(self) -> bytes:
        """sha256 over names and contents of the version's files."""
        digest = hashlib.sha256()
        for file, text in self._files.items():
            content = text.encode()
            digest.update(f"{file}\0{len(content)}\0".encode() + content)
        return digest.digest()

    @cached_property
    def output_model(self) -> type[BaseModel]:
        """The class ``Output`` of ``output.py``."""
        module_name = f"docmill_prompt_{self.content_hash.hex()[:16]}"
        return load_output(self.folder / "output.py", self._files["output.py"], module_name=module_name)

    @cached_property
    def schema(self) -> dict[str, Any]:
        """The JSON Schema of the answer, in the form that strict providers take."""
        schema: dict[str, Any] = closed(self._told_schema)
        return schema

    @cached_property
    def row_fields(self) -> int:
        """How many members the widest of an answer's rows has; 0 where it has no rows."""
        return fields_of_rows(self.schema)

    @cached_property
    def kept_schema(self) -> dict[str, Any]:
        """The JSON Schema of the answer, as it is kept."""
        return kept_schema_of(self.folder / "output.py", self._files["output.py"], self.output_model)

    @cached_property
    def part_model(self) -> type[BaseModel]:
        """The answer's model as it holds for a part of a document."""
        return relaxed(self.output_model)

    @cached_property
    def part_schema(self) -> dict[str, Any]:
        """The JSON Schema of the answer about a part."""
        schema: dict[str, Any] = closed(self.part_model.model_json_schema())
        return schema

    @property
    def example(self) -> Any:
        return (self._told_schema.get("examples") or [None])[0]

    @cached_property
    def _told_schema(self) -> dict[str, Any]:
        """As Pydantic has it, with titles, defaults and examples."""
        return schema_of(self.folder / "output.py", self._files["output.py"], self.output_model)

    def asked(self, params: Mapping[str, Any]) -> tuple[str, ...]:
        """Returns what a document that is too long is searched for: a question, or what each field says.

        Nothing where the prompt wants its beginning and its end.
        """
        question = self.question(params)
        if question is not None:
            return (question,)
        if self.config.retrieval.by == "ends":
            return ()
        return tuple(_described(name, field, self.schema) for name, field in self.schema["properties"].items())

    def question(self, params: Mapping[str, Any]) -> str | None:
        """Returns what is asked by a parameter; None where the fields ask."""
        question = params.get(self.config.retrieval.question or "question")
        return question if isinstance(question, str) and question.strip() else None

    def collection(self, params: Mapping[str, Any]) -> str | None:
        """The collection out of which passages are shown; None for a prompt without one."""
        named = self.config.retrieval.collection
        return None if named is None else str(self._variables(params)[named])

    def render(self, excerpt: Excerpt, params: Mapping[str, Any]) -> tuple[Message, ...]:
        """The messages of a first attempt. Raises VariableMissing, and PromptError for an unknown parameter."""
        variables = self._variables(params)
        system = self._render("system.j2", {**variables, "answer_format": self._answer_format})
        shown = {"document": excerpt.fenced} | (
            {"passages": excerpt.numbered} if self.config.retrieval.collection else {}
        )
        user = self._render("user.j2", {**variables, **shown})
        asked = Message(role="user", content=user, pictures=excerpt.pictures)
        return (Message(role="system", content=system), asked)

    def render_part(self, excerpt: Excerpt, params: Mapping[str, Any]) -> tuple[Message, ...]:
        """The messages about a part of a document: as :meth:`render`, with what it means to be shown a part."""
        variables = {**self._variables(params), "answer_format": self._part_format}
        system = f"{self._render('system.j2', variables)}\n{IN_PARTS}"
        shown = {"document": excerpt.fenced} | (
            {"passages": NOTHING_FOUND} if self.config.retrieval.collection else {}
        )
        user = self._render("user.j2", {**self._variables(params), **shown})
        return (Message(role="system", content=system), Message(role="user", content=user))

    def render_correction(
        self, messages: Sequence[Message], reply: str, problems: Sequence[str]
    ) -> tuple[Message, ...]:
        """The messages of the one correction round: the last reply, and exactly what is wrong with it."""
        correction = self._render("correction.j2", {"problems": list(problems)})
        return (
            *messages[:2],
            Message(role="assistant", content=reply),
            Message(role="user", content=correction),
        )

    def _variables(self, params: Mapping[str, Any]) -> dict[str, Any]:
        known = self.config.params
        for name in params:
            if name not in known:
                raise PromptError(f"prompt {self} has no parameter {name!r}: it takes {_listed(known)}")
        missing = [name for name, param in known.items() if param.default is None and name not in params]
        if missing:
            raise VariableMissing(str(self), missing[0])
        return {name: params.get(name, param.default) for name, param in known.items()}

    def _render(self, file: str, variables: Mapping[str, Any]) -> str:
        try:
            return self._template(file).render(variables).strip()
        except UndefinedError as error:
            # What a submit could give was there: the template asks for what nobody can.
            collection = self.config.retrieval.collection is not None
            told = mistakes_in(self.folder / file, self._files[file], self.config.params, collection=collection)
            raise Broken(told or [of_template(self.folder / file, error)]) from error
        except TemplateError as error:
            raise Broken([of_template(self.folder / file, error)]) from error

    def _template(self, file: str) -> Template:
        """Compiled once a process: compiling takes far longer than rendering."""
        if file not in self._templates:
            self._templates[file] = TEMPLATES.from_string(self._files[file])
        return self._templates[file]

    @cached_property
    def _answer_format(self) -> str:
        return self._format(self.schema)

    @cached_property
    def _part_format(self) -> str:
        return self._format(self.part_schema)

    def _format(self, schema: Mapping[str, Any]) -> str:
        parts = [ANSWER, _fenced_json(schema)]
        if self.example is not None:
            parts += ["For example:", _fenced_json(self.example)]
        return "\n".join(parts)


def read_files(folder: Path) -> tuple[dict[str, str], list[Mistake]]:
    """The version's files by name, as far as they can be read, and what keeps the others from it."""
    texts: dict[str, str] = {}
    mistakes: list[Mistake] = []
    for name in FILES:
        path = folder / name
        try:
            text = path.read_text(encoding="utf-8")
        except FileNotFoundError:
            mistakes.append(Mistake(file=path, told=f"the file is missing: {_other_name(folder, name)}"))
        except (OSError, UnicodeDecodeError) as error:
            why = "it is no UTF-8" if isinstance(error, UnicodeDecodeError) else error.strerror
            mistakes.append(Mistake(file=path, told=f"it cannot be read ({why}): mend it"))
        else:
            texts[name] = text
            if len(text) > LONGEST_TEMPLATE:
                told = f"it has {len(text)} characters; {LONGEST_TEMPLATE} are allowed"
                mistakes.append(Mistake(file=path, told=told))
    return texts, mistakes


def _other_name(folder: Path, name: str) -> str:
    """What a missing file may be called instead."""
    try:
        others = [entry.name for entry in folder.iterdir() if entry.is_file() and entry.name not in FILES]
    except OSError:
        others = []
    stem = name.partition(".")[0]
    near = [other for other in others if other.casefold().startswith(stem) and not other.endswith((".pyc", "~"))]
    near += difflib.get_close_matches(name, others, n=1)
    return f"rename {near[0]} to {name}" if near else "copy it from a prompt that ships, as prompts/receipt/v2"


def read_config(file: Path, text: str) -> Config:
    """Returns what a version's ``prompt.toml`` says. Raises Broken."""
    try:
        return Config.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise Broken([of_toml(file, text, error)]) from error
    except ValidationError as error:
        raise Broken(of_settings(file, text, error, Config)) from error


def _nonce(tag: str, text: str) -> str:
    """Makes a fence of ``tag`` that does not occur in the text."""
    nonce = hashlib.sha256(text.encode()).hexdigest()[:12]
    while f"{tag}-{nonce}" in text:
        nonce = hashlib.sha256(nonce.encode()).hexdigest()[:12]
    return nonce


def _described(name: str, field: Mapping[str, Any], root: Mapping[str, Any]) -> str:
    """A field's name and description, and those of the fields below it, in words."""
    below = [field, *field.get("anyOf", ())]
    below += [each["items"] for each in below if "items" in each]
    below = [root["$defs"][each["$ref"].rpartition("/")[2]] if "$ref" in each else each for each in below]
    told = [name.replace("_", " "), *(each["description"] for each in below if "description" in each)]
    members = [
        f"{member.replace('_', ' ')} {each.get('description', '')}".strip()
        for part in below
        for member, each in part.get("properties", {}).items()
    ]
    return ": ".join(filter(None, (". ".join(told), ", ".join(members))))


def _fenced_json(value: Any) -> str:
    return f"```json\n{json.dumps(value, ensure_ascii=False, separators=(',', ':'))}\n```"


def _listed(names: Mapping[str, Any]) -> str:
    return ", ".join(sorted(names)) or "none"
