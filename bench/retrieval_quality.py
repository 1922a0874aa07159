"""What searches find, on collections with known answers: words, vectors and both, side by side.

Usage: ``python -m bench.retrieval_quality [FOLDER]``; the folder holds cranfield, xquad and chunk_spans, each with
``dev/gold.jsonl`` (``--half heldout`` reads another half), and is ../shared/data/2_rag by default.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import mean
from typing import Any

from sqlalchemy import Connection

from bench.collection import database, filled
from db.collections import Collection
from db.search import Hit, Question, search
from docmill.retrieval.languages import searchable
from docmill.retrieval.offline import embed_offline

MODES = ("vector", "text", "hybrid")


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("folder", nargs="?", type=Path, default=Path("../shared/data/2_rag"))
    options.add_argument("--half", default="dev")
    options.add_argument("--json", action="store_true")
    chosen = options.parse_args()
    figures: dict[str, dict[str, float]] = {}
    with database() as engine, engine.begin() as connection:
        for measure in (cranfield, xquad, chunk_spans):
            figures |= measure(connection, chosen.folder, chosen.half)
    if chosen.json:
        print(json.dumps(figures))
        return
    print(f"{'':<44}" + "".join(f"{mode:>9}" for mode in MODES))
    for name, by_mode in figures.items():
        print(f"{name:<44}" + "".join(f"{by_mode[mode]:>9.4f}" for mode in MODES))


def cranfield(connection: Connection, folder: Path, half: str) -> dict[str, dict[str, float]]:
    """nDCG and recall of abstracts at 10; relevance is binary."""
    rows = _rows(folder / "cranfield/corpus.jsonl")
    collection = filled(connection, "cranfield", [(row["id"], row["text"]) for row in rows])
    gold = _rows(folder / "cranfield" / half / "gold.jsonl")
    found = _found(connection, collection, [row["query"] for row in gold], limit=10, each_document=1)
    relevant = [set(row["relevant"]) for row in gold]

    def ndcg(hits: Sequence[Hit], wanted: set[str]) -> float:
        gained = sum(1 / math.log2(at + 2) for at, hit in enumerate(hits) if hit.document in wanted)
        return gained / sum(1 / math.log2(at + 2) for at in range(min(10, len(wanted))))

    def recall(hits: Sequence[Hit], wanted: set[str]) -> float:
        return len({hit.document for hit in hits} & wanted) / len(wanted)

    return {
        "Cranfield nDCG@10": _means(found, relevant, ndcg),
        "Cranfield recall@10": _means(found, relevant, recall),
    }


def xquad(connection: Connection, folder: Path, half: str) -> dict[str, dict[str, float]]:
    """Whether the paragraph that answers a question is the first that is found, or among five."""
    figures = {}
    corpus = _rows(folder / "xquad" / half / "corpus.jsonl")
    gold = _rows(folder / "xquad" / half / "gold.jsonl")
    for language, suffix in (("English", ""), ("German", "_de"), ("Chinese", "_zh")):
        documents = [(row["id"], row[f"text{suffix}"]) for row in corpus]
        collection = filled(connection, f"xquad{suffix}", documents)
        found = _found(
            connection, collection, [row[f"question{suffix}"] for row in gold], limit=5, each_document=1
        )
        wanted = [{row["doc_id"]} for row in gold]
        for at in (1, 5):

            def hit_at(hits: Sequence[Hit], wanted: set[str], at: int = at) -> float:
                return float(any(hit.document in wanted for hit in hits[:at]))

            figures[f"XQuAD {language} hit@{at}"] = _means(found, wanted, hit_at)
    return figures


def chunk_spans(connection: Connection, folder: Path, half: str) -> dict[str, dict[str, float]]:
    """Of the characters that answer a question, the share that lies in the first five chunks; and precision."""
    gold = _rows(folder / "chunk_spans" / half / "gold.jsonl")
    found: dict[str, list[list[Hit]]] = {mode: [] for mode in MODES}
    wanted: list[set[int]] = []
    for path in sorted({row["corpus"] for row in gold}):
        name = Path(path).stem
        body = (folder / "chunk_spans" / path).read_text(encoding="utf-8")
        collection = filled(connection, f"spans-{name}", [(name, body)])
        asked = [row for row in gold if row["corpus"] == path]
        for mode, hits in _found(connection, collection, [row["question"] for row in asked], limit=5).items():
            found[mode] += hits
        wanted += [_characters((each["start"], each["end"]) for each in row["references"]) for row in asked]

    def recall(hits: Sequence[Hit], wanted: set[int]) -> float:
        return len(_characters((hit.start, hit.end) for hit in hits) & wanted) / len(wanted)

    def precision(hits: Sequence[Hit], wanted: set[int]) -> float:
        shown = _characters((hit.start, hit.end) for hit in hits)
        return len(shown & wanted) / len(shown) if shown else 0.0

    return {
        "chunk spans, recall of characters at 5": _means(found, wanted, recall),
        "chunk spans, precision of characters at 5": _means(found, wanted, precision),
    }


def _found(
    connection: Connection,
    collection: Collection,
    questions: Sequence[str],
    *,
    limit: int,
    each_document: int | None = None,
) -> dict[str, list[list[Hit]]]:
    asked = [
        Question(words=searchable(question), vector=vector, limit=limit, each_document=each_document)
        for question, vector in zip(questions, embed_offline(questions), strict=True)
    ]
    return {
        mode: [search(connection, collection, replace(question, mode=mode)) for question in asked]  # type: ignore[arg-type]
        for mode in MODES
    }


def _means(
    found: dict[str, list[list[Hit]]], wanted: Sequence[Any], score: Callable[[Sequence[Hit], Any], float]
) -> dict[str, float]:
    return {mode: mean(score(*each) for each in zip(hits, wanted, strict=True)) for mode, hits in found.items()}


def _characters(spans: Iterable[tuple[int, int]]) -> set[int]:
    return {at for start, end in spans for at in range(start, end)}


def _rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


if __name__ == "__main__":
    main()
