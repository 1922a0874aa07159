"""A mistake in a prompt's files, told in one line: the file, the line, what is wrong, and what to do about it."""

from __future__ import annotations

import ast
import difflib
import re
import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from traceback import extract_tb

from jinja2 import TemplateError, TemplateSyntaxError
from pydantic import BaseModel, ValidationError

from docmill.errors import PromptBroken
from docmill.explain import Place, reasons

__all__ = [
    "Broken",
    "Mistake",
    "line_of_key",
    "meant",
    "of_code",
    "of_settings",
    "of_template",
    "of_toml",
]

LONGEST = 400
"""Characters of what Python, or a library, says of a file."""
HEADER = re.compile(r"\s*\[\[?([^\[\]]+)\]\]?\s*(?:#.*)?$")
KEY = re.compile(r"""\s*("[^"]*"|'[^']*'|[\w-]+)\s*[.=]""")
AT_LINE = re.compile(r" ?\(at line (\d+), column \d+\)| ?\(at end of document\)")
UNDEFINED = re.compile(r"`(\w+)` is not fully defined; you should define `([\w.]+)`")
ARBITRARY = re.compile(r"Unable to generate pydantic-core schema for (.{1,80}?)\. Set")


@dataclass(frozen=True, kw_only=True)
class Mistake:
    """What is wrong in a file, and the remedy."""

    file: Path
    line: int | None = None
    """From 1; None where the mistake is that something is missing."""
    told: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.told}" if self.line else f"{self.file}: {self.told}"


class Broken(PromptBroken):
    """A prompt's files do not load; each mistake that was found says where and why."""

    def __init__(self, mistakes: Iterable[Mistake]) -> None:
        self.mistakes = tuple(mistakes)
        super().__init__("; ".join(map(str, self.mistakes)))


def meant(written: str, known: Iterable[str], *, otherwise: str = "") -> str:
    """Returns what is near to a name that there is not, as a question; or what else there is to say."""
    names = {each.casefold(): each for each in known}
    near = difflib.get_close_matches(written.casefold(), names, n=1)
    return f"did you mean {names[near[0]]}?" if near else otherwise or f"there are {', '.join(names.values())}"


def of_toml(file: Path, text: str, error: tomllib.TOMLDecodeError) -> Mistake:
    """A mistake in the syntax."""
    at = AT_LINE.search(str(error))
    line = int(at[1]) if at and at[1] else len(text.splitlines()) or 1
    told = AT_LINE.sub("", str(error))
    return Mistake(file=file, line=line, told=f'this is no TOML ({told}): a line reads name = "text", 12 or [..]')


def of_settings(file: Path, text: str, error: ValidationError, model: type[BaseModel]) -> list[Mistake]:
    """Mistakes in what a TOML file says, held against the model that declares its keys."""
    return [
        Mistake(file=file, line=line_of_key(text, place), told=_named(place, reason))
        for place, reason in reasons(error, lambda place: keys_at(model, place))
    ]


def _named(place: Place, reason: str) -> str:
    key = ".".join(map(str, place))
    if reason == "Field required":
        return f"{key} is missing: add {key}"
    reason = reason.replace("a valid tuple", 'a list, as ["small", "large"]')
    return f"{key}: {reason}" if key else reason


def keys_at(model: type[BaseModel], place: Place) -> list[str]:
    """The keys that there are beside the one at ``place``, as the model declares them."""
    for step in place[:-1]:
        field = model.model_fields.get(str(step))
        if field is None:
            continue  # the name of a parameter, which is the user's own
        inner = [field.annotation, *getattr(field.annotation, "__args__", ())]
        model = next((each for each in inner if isinstance(each, type) and issubclass(each, BaseModel)), model)
    return list(model.model_fields)


def line_of_key(text: str, place: Place) -> int | None:
    """The line of a TOML file where a key stands, or the table in which it should; None where neither does."""
    wanted, table, found = [str(step) for step in place if isinstance(step, str)], [""], None
    for number, line in enumerate(text.splitlines(), start=1):
        header, key = HEADER.match(line), KEY.match(line)
        if header:
            table = [part.strip().strip("\"'") for part in header[1].split(".")]
            if table == wanted[: len(table)]:
                found = number
        elif key:
            at = [*filter(None, table), key[1].strip("\"'")]
            if at == wanted[: len(at)]:
                found = number
                if len(at) == len(wanted):
                    break
    return found


def of_template(file: Path, error: TemplateError) -> Mistake:
    """A template that cannot be read, or filled in."""
    line = error.lineno if isinstance(error, TemplateSyntaxError) else None
    return Mistake(file=file, line=line, told=f"this is no template ({_short(error)}): mend it")


def of_code(file: Path, code: str, error: BaseException) -> Mistake:
    """Returns why a module does not load, at the line that raised."""
    if isinstance(error, SyntaxError):
        return Mistake(file=file, line=error.lineno, told=f"this is no Python ({error.msg}): mend it")
    steps = [step.lineno for step in extract_tb(error.__traceback__) if step.filename == str(file)]
    line = steps[-1] if steps else None
    return Mistake(file=file, line=line or _line_of_undefined(code, error), told=_why(error))


def _why(error: BaseException) -> str:
    undefined, arbitrary = UNDEFINED.search(str(error)), ARBITRARY.search(str(error))
    if undefined:
        return f"{undefined[2]} is not defined, and {undefined[1]} has a field of it: import it, or write it above"
    if arbitrary:
        return (
            f"a field has the type {arbitrary[1]}, which JSON Schema cannot say: "
            f"take str, int, Decimal, bool, date, a Literal, a list or a BaseModel"
        )
    if isinstance(error, ModuleNotFoundError):
        return f"there is no module {error.name}: install it beside docmill, or do without it"
    if isinstance(error, NameError) and error.name:
        return f"{error.name} is not defined: import it, or mend its name"
    return f"it raises when it is loaded ({type(error).__name__}: {_short(error)}): mend it"


def _line_of_undefined(code: str, error: BaseException) -> int | None:
    found = UNDEFINED.search(str(error))
    if not found:
        return None
    names = (node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Name) and node.id == found[2])
    return next((node.lineno for node in names), None)


def _short(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    kept: Sequence[str] = lines[:2] if lines else [type(error).__name__]
    return " ".join(kept)[:LONGEST]
