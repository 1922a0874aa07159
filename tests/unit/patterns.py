"""Every regular expression of the packages, and texts that each would take long over if it could.

A pattern is slow on what it nearly matches: on what one of its repetitions takes, many times over, and then
something that spoils the match. Such texts are derived from the pattern as Python's own parser has it.
"""

from __future__ import annotations

import ast
import importlib
import pkgutil
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, TypeAlias

__all__ = ["SPOILER", "Named", "all_patterns", "hostile_texts"]

ROOT = Path(__file__).parents[2]
PACKAGES = ("docmill", "prompts", "db", "tasks", "workers", "web", "cli")
NOT_IMPORTED = frozenset({"db.migrations.env", "workers.app"})
"""They run where Alembic and Celery start them alone."""

Pattern: TypeAlias = "re.Pattern[str] | re.Pattern[bytes]"
Nodes: TypeAlias = Sequence[tuple[Any, Any]]


@dataclass(frozen=True, kw_only=True)
class Named:
    """A pattern, where it stands, and whether it is only ever matched at a place, and never looked for."""

    where: str
    pattern: Pattern
    anchored: bool


def all_patterns() -> list[Named]:
    """Each pattern once: those of modules, and those that are written where they are used."""
    modules = list(_modules())
    uses = _uses(modules)
    found: dict[Any, Named] = {}
    for module in modules:
        for where, name, pattern in (*_kept(module), *_inline(module)):
            anchored = uses.get((module.__name__, name), {"search"}) <= {"match", "fullmatch"}
            key = (pattern.pattern, pattern.flags, anchored)
            found.setdefault(key, Named(where=f"{module.__name__}.{where}", pattern=pattern, anchored=anchored))
    return list(found.values())


def _modules() -> Iterator[ModuleType]:
    for package in map(importlib.import_module, PACKAGES):
        yield package
        for info in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if info.name not in NOT_IMPORTED and not info.name.endswith("__main__"):
                yield importlib.import_module(info.name)


def _kept(module: ModuleType) -> Iterator[tuple[str, str, Pattern]]:
    """(where, name, pattern) of a module's own patterns, those in its tables and classes too."""
    for name, value in vars(module).items():
        if not name.startswith("__"):
            yield from ((name, name, pattern) for pattern in _inside(value, module, 4))


def _inside(value: object, module: ModuleType, depth: int) -> Iterator[Pattern]:
    if isinstance(value, re.Pattern):
        yield value
    elif depth and isinstance(value, dict):
        for each in (*value, *value.values()):
            yield from _inside(each, module, depth - 1)
    elif depth and isinstance(value, list | tuple | set | frozenset):
        for each in value:
            yield from _inside(each, module, depth - 1)
    elif (
        depth
        and getattr(type(value) if not isinstance(value, type) else value, "__module__", "") == module.__name__
    ):
        for each in getattr(value, "__dict__", {}).values():
            yield from _inside(each, module, depth - 1)


def _inline(module: ModuleType) -> Iterator[tuple[str, str, Pattern]]:
    """As :func:`_kept`, of the calls of ``re`` within functions; their name is that of a variable, or the call's."""
    functions = [node for node in ast.walk(_tree(module)) if isinstance(node, ast.FunctionDef | ast.Lambda)]
    for function in functions:
        names = {
            id(node.value): node.targets[0].id
            for node in ast.walk(function)
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
        }
        for call, method in _calls_of_re(function):
            written = _literal(call.args[0], module)
            if written is not None:
                name = names.get(id(call), "") if method == "compile" else f"re.{method}"
                yield str(call.lineno), name, re.compile(written, eval(ast.unparse(_flags(call)), {"re": re}))


def _calls_of_re(function: ast.AST) -> Iterator[tuple[ast.Call, str]]:
    for node in ast.walk(function):
        if isinstance(node, ast.Call) and node.args and isinstance(node.func, ast.Attribute):
            of = node.func.value
            if isinstance(of, ast.Name) and of.id == "re" and node.func.attr != "escape":
                yield node, node.func.attr


def _tree(module: ModuleType) -> ast.Module:
    return ast.parse(Path(str(module.__file__)).read_text(encoding="utf-8"))


def _flags(call: ast.Call) -> ast.expr:
    named = [keyword.value for keyword in call.keywords if keyword.arg == "flags"]
    flags = [each for each in (*call.args[1:], *named) if ast.unparse(each).startswith("re.")]
    return flags[0] if flags else ast.Constant(0)


def _literal(node: ast.expr, module: ModuleType) -> Any:
    """The pattern as it is written, with a word in the place of what is put in; None for what is put together."""
    if isinstance(node, ast.Constant):
        return node.value
    if isinstance(node, ast.JoinedStr):
        parts = [_literal(part, module) for part in node.values]
        return "".join(part if isinstance(part, str) else "word" for part in parts)
    if isinstance(node, ast.FormattedValue):
        return _literal(node.value, module)
    if isinstance(node, ast.Name):
        value = vars(module).get(node.id)
        return value if isinstance(value, str | bytes) else None
    return None


def _uses(modules: Iterable[ModuleType]) -> dict[tuple[str, str], set[str]]:
    """How the patterns of each name in each module are used: the methods called on them, or on what runs over them."""
    found: dict[tuple[str, str], set[str]] = {}
    for module in modules:
        found[module.__name__, "re.match"] = found[module.__name__, "re.fullmatch"] = {"match"}
        tree = _tree(module)
        origins = _origins(tree)
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                for name in (node.value.id, *origins.get(node.value.id, ())):
                    where, _, plain = name.rpartition(":")
                    found.setdefault((where or module.__name__, plain), set()).add(node.attr)
    return found


def _origins(tree: ast.Module) -> dict[str, set[str]]:
    """For the names that loops run over tables with, the tables' own; for imported ones ``module:name``."""
    found: dict[str, set[str]] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.For | ast.comprehension):
            tables = {each.id for each in ast.walk(node.iter) if isinstance(each, ast.Name)}
            for each in ast.walk(node.target):
                if isinstance(each, ast.Name):
                    found.setdefault(each.id, set()).update(tables)
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                found.setdefault(alias.asname or alias.name, set()).add(f"{node.module}:{alias.name}")
    return found


_parser: Any = importlib.import_module("re._parser")
_REPEATS = {"MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"}
_CANDIDATES = "ab1 \n\t-_.,:;\"'`<>()[]{}/\\@#=*!?&%+€é中\u0301\u200d\0"
_CATEGORIES = {"DIGIT": "1", "SPACE": " \n", "WORD": "a1", "NOT_DIGIT": "a ", "NOT_SPACE": "a.", "NOT_WORD": " ."}
EVERYWHERE = (
    *(
        "a",
        "A",
        "1",
        " ",
        "\n",
        "\t",
        ".",
        ",",
        "-",
        "_",
        ":",
        ";",
        "/",
        "\\",
        '"',
        "'",
        "`",
        "<",
        ">",
        "(",
        "[",
        "{",
    ),
    *(
        "&",
        "#",
        "=",
        "*",
        "@",
        "\u00a0",
        "\u00e9",
        "\u4e2d",
        "\u200d",
        "\u0301",
        "\ufeff",
        "\r\n",
        "a ",
        " a",
        "a.",
        "1,",
    ),
    *(
        "1 ",
        "a\n",
        "\n ",
        "\n\n",
        "<!---->",
        "<a>",
        "</a>",
        "<!--",
        "-->",
        "()",
        "[]",
        "{}",
        '""',
        '\\"',
        "a:",
        '"a":',
    ),
)
"""What is repeated before every pattern."""
SPOILER = "\ue000"
"""What spoils a match: nobody's letter, no white space, and no end of a line."""
LEAST_LONG = 20
"""Repetitions that end sooner cost what they cost, whatever the text."""


def hostile_texts(pattern: Pattern) -> list[tuple[str, str]]:
    """(what comes first, what is repeated), each once; the spoiler follows."""
    flags = pattern.flags & ~re.UNICODE if isinstance(pattern.pattern, bytes) else pattern.flags
    nodes = _parser.parse(pattern.pattern, flags)
    derived = {(before, pump) for before, pump in _pumps(nodes, "") if pump}
    texts = {(before, pump) for before, pump in derived} | {("", pump) for _, pump in derived}
    texts |= {("", pump) for pump in EVERYWHERE}
    return sorted(texts)


def _pumps(nodes: Nodes, before: str) -> Iterator[tuple[str, str]]:
    """(what leads to a repetition, what it repeats), for each repetition, and for neighbours together."""
    last = ""
    for op, argument in nodes:
        for body in _bodies(op, argument):
            yield from _pumps(body, before)
        if str(op) in _REPEATS and argument[1] >= LEAST_LONG:
            for sample in _samples(argument[2]):
                yield before, sample
                yield before, last + sample
                yield "", before + sample
            yield "", before
            last = _sample(argument[2])
        else:
            last += _sample([(op, argument)])
        before += _sample([(op, argument)])


def _bodies(op: Any, argument: Any) -> list[Nodes]:
    match str(op):
        case "SUBPATTERN":
            return [argument[3]]
        case "BRANCH":
            return list(argument[1])
        case "MAX_REPEAT" | "MIN_REPEAT" | "POSSESSIVE_REPEAT":
            return [argument[2]]
        case "ASSERT" | "ASSERT_NOT":
            return [argument[1]]
        case "ATOMIC_GROUP":
            return [argument]
    return []


def _sample(nodes: Nodes) -> str:
    """A text that the nodes match, or nearly."""
    return "".join(next(_of_node(op, argument), "") for op, argument in nodes)


def _samples(nodes: Nodes) -> Iterator[str]:
    """Some such texts: each choice of the first place where there is one, and the plain one."""
    yield _sample(nodes)
    for at, (op, argument) in enumerate(nodes):
        for choice in list(_of_node(op, argument))[:6]:
            yield _sample(nodes[:at]) + choice + _sample(nodes[at + 1 :])


def _of_node(op: Any, argument: Any) -> Iterator[str]:
    match str(op):
        case "LITERAL":
            yield chr(argument)
        case "NOT_LITERAL":
            yield from (char for char in _CANDIDATES[:8] if ord(char) != argument)
        case "ANY":
            yield from 'a "'
        case "IN":
            yield from _members(argument)
        case "MAX_REPEAT" | "MIN_REPEAT" | "POSSESSIVE_REPEAT":
            for sample in _samples(argument[2]):
                yield sample * max(argument[0], min(1, argument[1]))
        case "SUBPATTERN" | "ATOMIC_GROUP" | "BRANCH" | "ASSERT":
            for body in _bodies(op, argument):
                yield from _samples(body)


def _members(items: Nodes) -> Iterator[str]:
    """Characters of a class, one for each of its items."""
    if str(items[0][0]) == "NEGATE":
        excluded = set(_members(items[1:])) | {char for char in _CANDIDATES if _is_among(char, items[1:])}
        yield from [char for char in _CANDIDATES if char not in excluded][:6]
        return
    for op, argument in items:
        match str(op):
            case "LITERAL":
                yield chr(argument)
            case "RANGE":
                yield chr(argument[0])
            case "CATEGORY":
                yield from _CATEGORIES[str(argument).removeprefix("CATEGORY_")]


def _is_among(char: str, items: Nodes) -> bool:
    return any(
        (str(op) == "LITERAL" and argument == ord(char))
        or (str(op) == "RANGE" and argument[0] <= ord(char) <= argument[1])
        or (str(op) == "CATEGORY" and _is_of(char, str(argument)))
        for op, argument in items
    )


def _is_of(char: str, category: str) -> bool:
    is_ = {"DIGIT": char.isdigit(), "SPACE": char.isspace(), "WORD": char.isalnum() or char == "_"}
    name = category.removeprefix("CATEGORY_")
    return not is_[name.removeprefix("NOT_")] if name.startswith("NOT_") else is_[name]
