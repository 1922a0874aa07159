"""How much of long documents is found in parts, and in one call, by kind of document; gold answers as the oracle.

    .venv/bin/python -m bench.extract_rows FOLDER [--lazy 60] [--only KIND] [--way WAY] [--show] [--json]

FOLDER has a folder for each kind of document: a ``schema.json``, and pairs of ``NAME.pdf`` and ``NAME.gold.json``.
A simulator knows gold: asked with a text in which a value's place stands it answers with the value, and beyond
``--lazy`` items of an answer it leaves out the rest without a word. Each document is asked as ``auto`` has it, and
whole in one call. ``--show`` names what is missing.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from sqlalchemy import text

from bench.rows import answers_of, oracle, stack_with, submit_all, write_answers
from docmill.parsing import Place, locate
from docmill.parsing.bounds import leaves
from docmill.parsing.schema import kinds, resolved
from docmill.reading import Reading, read
from prompts.registry import BUILT_IN
from prompts.writing import output_of_schema
from workers.stack.places import scratch

LONGEST_ANCHOR = 600
MOST_LINES = 6
"""Lines before a value that go into its anchor until that stands once."""
SETTINGS = """
description = "What gold has."
ladder = ["small", "large"]

[limits]
max_output_tokens = {output}
max_input_tokens = {input}

[retrieval]
by = "{by}"
"""
WAYS = {
    "in parts": {"by": "auto", "output": 4096, "input": 100_000},
    "one call": {"by": "fields", "output": 120_000, "input": 900_000},
}


@dataclass(frozen=True, kw_only=True)
class Filed:
    """A document of a kind, its gold answer, and what of it was read. ``bench.rows`` submits it."""

    kind: str
    name: str
    body: bytes
    gold: Mapping[str, Any]
    reading: Reading
    media_type: str = "application/pdf"


@dataclass(kw_only=True)
class Score:
    """Leaves and items of lists that gold has, that were found, and that are right."""

    leaves: int = 0
    right: int = 0
    items: int = 0
    found: int = 0
    items_right: int = 0
    missing: list[str] = field(default_factory=list)

    def add(self, other: Score) -> None:
        """Sums two."""
        for name in ("leaves", "right", "items", "found", "items_right", "missing"):
            setattr(self, name, getattr(self, name) + getattr(other, name))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--lazy", type=int, default=60)
    parser.add_argument("--only")
    parser.add_argument("--way", choices=[*WAYS])
    parser.add_argument("--show", action="store_true")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    chosen = [each for each in sorted(options.folder.iterdir()) if options.only in (None, each.name)]
    table: dict[str, dict[str, Score]] = {}
    for folder in chosen:
        schema = json.loads((folder / "schema.json").read_text(encoding="utf-8"))
        schema = schema.get("schema_definition", schema)
        schema = _as_gold_has_it(schema, schema, folder)
        filed = list(_filed(folder, schema))
        for way in [each for each in WAYS if options.way in (None, each)]:
            scores = list(_asked(filed, schema, way, options))
            table.setdefault(folder.name, {})[way] = _sum(scores)
            for each, score in zip(filed, scores, strict=True):
                _tell(each.name, way, score, show=options.show)
    _print(table, as_json=options.json)


def _filed(folder: Path, schema: Mapping[str, Any]) -> Iterator[Filed]:
    for file in sorted(folder.glob("*.pdf")):
        gold = json.loads(file.with_suffix(".gold.json").read_text(encoding="utf-8"))
        reading = read(file)
        # Gold's answers follow the schema, but for what they leave out.
        yield Filed(
            kind=folder.name,
            name=file.name,
            body=file.read_bytes(),
            gold=_filled(_lifted(gold, schema), schema, schema),
            reading=reading,
        )


def _as_gold_has_it(schema: Any, root: Mapping[str, Any], folder: Path) -> Any:
    """The schema with texts for the items of a list that all gold answers give as texts, whatever it says."""
    found = [json.loads(file.read_text(encoding="utf-8")) for file in sorted(folder.glob("*.gold.json"))]
    members = dict(_shape(schema, root).get("properties", {}))
    for name, member in members.items():
        lists = [gold[name] for gold in found if isinstance(gold.get(name), list)]
        items = [item for each in lists for item in each]
        if items and all(isinstance(item, str) for item in items) and "items" in _shape(member, root):
            members[name] = {**_shape(member, root), "items": {"type": "string"}}
    loose: Any = _nothing_required({**schema, "properties": members})
    return loose


def _nothing_required(schema: Any) -> Any:
    """Gold leaves out what the schema requires."""
    if isinstance(schema, list):
        return list(map(_nothing_required, schema))
    if not isinstance(schema, Mapping):
        return schema
    return {
        name: _nothing_required(part)
        for name, part in schema.items()
        if name != "required" or not isinstance(part, list)
    }


def _lifted(gold: Mapping[str, Any], schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """What gold has one level deeper than the schema, in a list of one."""
    for member in gold.values():
        inner = member[0] if isinstance(member, list) and len(member) == 1 else None
        if isinstance(inner, Mapping) and inner.keys() & schema.get("properties", {}).keys() - gold.keys():
            return {**gold, **inner}
    return gold


def _filled(value: Any, schema: Any, root: Mapping[str, Any]) -> Any:
    """With null for each member that the schema has and the value does not, and without what it does not have."""
    shape = _shape(schema, root)
    if isinstance(value, Mapping) and "properties" in shape:
        return {name: _filled(value.get(name), member, root) for name, member in shape["properties"].items()}
    if isinstance(value, list) and "items" in shape:
        return [_filled(item, shape["items"], root) for item in value]
    return value


def _shape(schema: Any, root: Mapping[str, Any]) -> Mapping[str, Any]:
    """An object's or a list's own schema, behind references and choices."""
    found = resolved(schema["$ref"], root) if "$ref" in schema else schema
    for choice in (*found.get("anyOf", ()), *found.get("oneOf", ())):
        if kinds(choice, root) & {"object", "array"}:
            return _shape(choice, root)
    return found if isinstance(found, Mapping) else {}


# --- what is known ---


def _known(filed: Filed) -> Iterator[dict[str, Any]]:
    """A line for each item of an outer list and for each value outside of lists, by where it stands."""
    places = locate(filed.gold, filed.reading)
    anchored = _Anchors(filed.reading.text)
    beginning = anchored.beginning
    last = beginning
    told = Counter({name: len(said) for name, said in _said(filed.gold).items()})
    for path, value in _units(filed.gold, ()):
        dotted = ".".join(map(str, path))
        below = {name: place for name, place in places.items() if f"{name}.".startswith(f"{dotted}.")}
        # What items have in common, as a currency, stands anywhere: an item stands where its own value does.
        most = max((told[_last(name)] for name, place in below.items() if place.found), default=0)
        anchor = anchored.of([place for name, place in below.items() if told[_last(name)] == most])
        last = anchor or (last if isinstance(path[-1], int) else beginning)
        steps = [*path[:-1], "-"] if isinstance(path[-1], int) else path
        yield {"path": "".join(f"/{step}" for step in steps), "anchor": last, "value": value}


def _said(gold: Any) -> dict[str, set[str]]:
    """Each different value of a member, by its name alone."""
    said: dict[str, set[str]] = {}
    for path, leaf in leaves(gold):
        said.setdefault(_last(path), set()).add(str(leaf))
    return said


def _last(path: str) -> str:
    return next((step for step in reversed(path.split(".")) if not step.isdigit()), "")


def _units(value: Any, path: tuple[Any, ...]) -> Iterator[tuple[tuple[Any, ...], Any]]:
    if isinstance(value, Mapping):
        for name, member in value.items():
            yield from _units(member, (*path, name))
    elif isinstance(value, list) and value:
        yield from (((*path, at), item) for at, item in enumerate(value))
    else:
        yield path, value


class _Anchors:
    """Words that stand once in a text, with the place of a value at their end."""

    def __init__(self, words: str) -> None:
        self.text = words
        self.plain = " ".join(words.split())

    @property
    def beginning(self) -> str:
        """The document's first words."""
        return " ".join(self.plain.split(" ")[:3])

    def of(self, places: Sequence[Place]) -> str | None:
        """The words up to the value of the fewest places; None where nothing stands anywhere."""
        there = [place for place in places if place.found and place.start is not None and place.end is not None]
        if not there:
            return None
        place = min(there, key=lambda each: (each.occurrences, each.start))
        end, begin = min(place.end or 0, (place.start or 0) + LONGEST_ANCHOR), place.start or 0
        end = self._behind_a_word(end)
        for _ in range(MOST_LINES):
            begin = self.text.rfind("\n", 0, max(0, begin - 1)) + 1
            anchor = " ".join(self.text[begin:end].split())
            if self.plain.count(anchor) == 1 or begin == 0:
                break
        return anchor[-2 * LONGEST_ANCHOR :].partition(" ")[2] if len(anchor) > 2 * LONGEST_ANCHOR else anchor

    def _behind_a_word(self, end: int) -> int:
        while end < len(self.text) and self.text[end - 1].isalnum() and self.text[end].isalnum():
            end += 1
        return end


# --- what is asked ---


def _asked(
    filed: Sequence[Filed], schema: Mapping[str, Any], way: str, options: argparse.Namespace
) -> Iterator[Score]:
    for each in filed:  # one by one: the simulator knows nothing of other documents
        with scratch("extract") as folder:
            _write_prompt(folder / "prompts", schema, way)
            write_answers(folder / "answers.jsonl", list(_known(each)))
            with oracle(folder, "--lazy", str(options.lazy)) as url, stack_with(url, folder) as running:
                submit_all(running, [each], "gold")  # type: ignore[list-item] # it has what a made-up one has
                running.await_ends()
                with running.engine.connect() as connection:
                    told = connection.execute(
                        text(
                            "select state, failure ->> 'message' as told, context -> 'coverage' as coverage,"
                            " (select count(*) from calls where state <> 'cached') as calls from jobs"
                        )
                    ).one()
                coverage = {key: found for key, found in (told.coverage or {}).items() if isinstance(found, int)}
                print(each.name, way, told.state, told.told, told.calls, coverage, file=sys.stderr, flush=True)
                yield score(each.gold, answers_of(running.engine)[0] or {})


def _write_prompt(folder: Path, schema: Mapping[str, Any], way: str) -> None:
    version = folder / "gold" / "v1"
    version.mkdir(parents=True)
    for name in ("user.j2", "correction.j2", "system.j2"):
        (version / name).write_bytes((BUILT_IN / "statement" / "v1" / name).read_bytes())
    # Gold has constants that no page holds, so nothing is demanded to stand there.
    output = output_of_schema(schema, title="Gold").replace("Grounded()", "None")
    (version / "output.py").write_text(output, encoding="utf-8")
    (version / "prompt.toml").write_text(SETTINGS.format(**WAYS[way]), encoding="utf-8")


# --- what came of it ---


def score(gold: Any, found: Any) -> Score:
    """Values outside of lists by their paths, items of lists as often as they are there, in any order."""
    total = Score()
    _compare(gold, found, "", total)
    return total


def _compare(gold: Any, found: Any, path: str, total: Score) -> None:
    if isinstance(gold, Mapping):
        for name, member in gold.items():
            _compare(member, found.get(name) if isinstance(found, Mapping) else None, f"{path}.{name}", total)
    elif isinstance(gold, list):
        _compare_lists(gold, found if isinstance(found, list) else [], path, total)
    elif gold is not None:
        total.leaves += 1
        right = _plain(gold) == _plain(found)
        total.right += right
        total.missing += [] if right else [f"{path}: {gold!r}, not {found!r}"]


def _compare_lists(gold: Sequence[Any], found: Sequence[Any], path: str, total: Score) -> None:
    left = Counter(map(_plain, found))
    total.items, total.found = total.items + len(gold), total.found + len(found)
    for item in gold:
        total.leaves += _leaves(item)
        if left[_plain(item)]:
            left[_plain(item)] -= 1
            total.items_right += 1
            total.right += _leaves(item)
        else:
            total.missing.append(f"{path}: {json.dumps(item)[:200]}")


def _leaves(value: Any) -> int:
    if isinstance(value, Mapping):
        return sum(map(_leaves, value.values()))
    return sum(map(_leaves, value)) if isinstance(value, list) else int(value is not None)


def _plain(value: Any) -> str:
    """Equal for what says the same."""
    if isinstance(value, Mapping):
        return json.dumps({name: _plain(member) for name, member in sorted(value.items()) if member is not None})
    if isinstance(value, list):
        return json.dumps(list(map(_plain, value)))
    try:
        return str(float(value))
    except (TypeError, ValueError):
        return " ".join(str(value).split()).casefold()


def _sum(scores: Sequence[Score]) -> Score:
    total = Score()
    for each in scores:
        total.add(replace(each, missing=[]))
    return total


def _tell(name: str, way: str, each: Score, *, show: bool) -> None:
    print(
        f"{name}, {way}: {each.right} of {each.leaves} leaves; {each.items_right} of {each.items} items,"
        f" {each.found} found",
        file=sys.stderr,
    )
    for missing in each.missing if show else ():
        print(f"   {missing}", file=sys.stderr)


def _print(table: Mapping[str, Mapping[str, Score]], *, as_json: bool) -> None:
    rows = [
        {
            "kind": kind,
            "way": way,
            "field accuracy": each.right / max(1, each.leaves),
            "recall of lists": each.items_right / max(1, each.items),
            "precision of lists": each.items_right / max(1, each.found),
            "leaves": each.leaves,
            "items": each.items,
        }
        for kind, ways in table.items()
        for way, each in ways.items()
    ]
    if as_json:
        print(json.dumps(rows))
        return
    print("| kind | way | field accuracy | recall of lists | precision of lists | leaves | items |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for row in rows:
        shown = [f"{cell:.3f}" if isinstance(cell, float) else str(cell) for cell in row.values()]
        print(f"| {' | '.join(shown)} |")


if __name__ == "__main__":
    main()
