"""Agreements longer than their room: whether what answers a question is in the built context.

Usage: ``python -m bench.context [FOLDER]``; the folder holds ``dev/gold.jsonl`` with documents and the places that
answer a question (``--half heldout`` reads another half), and is ../shared/data/1_structured_fields/contracts_cuad
by default. A question counts where each of its places lies whole within a passage; of a place whose words stand
in the agreement several times, any one. Beside it the agreement's beginning and end, cut to the same room.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

from docmill.llm.tokens import Counter, shortened
from docmill.retrieval.fitting import Spans, fitting
from docmill.retrieval.offline import embed_offline

COUNTER = Counter(encoding="o200k_base")
GAP_TOKENS = COUNTER.count("\n[...]\n")

ASKED = {
    "Document Name": "What is the agreement called?",
    "Parties": "Who are the parties that sign it?",
    "Agreement Date": "On which date was it made?",
    "Effective Date": "From which date does it take effect?",
    "Expiration Date": "When does its first term end?",
    "Renewal Term": "For how long is it renewed after the first term, by itself or by notice?",
    "Notice Period To Terminate Renewal": "How much notice does it take to prevent a renewal?",
    "Governing Law": "The law of which state or country governs it?",
    "Most Favored Nation": "Must a party get terms as good as any third party gets?",
    "Non-Compete": "Is a party kept from competing, or from a region or a line of business?",
    "Exclusivity": "Must a party deal with the other alone, or buy all its requirements there?",
    "No-Solicit Of Customers": "Is a party kept from soliciting the other's customers?",
    "No-Solicit Of Employees": "Is a party kept from soliciting or hiring the other's employees?",
    "Termination For Convenience": "May a party terminate it without cause, by notice alone?",
    "Change Of Control": "What if a party is merged or sold, or its control changes?",
    "Anti-Assignment": "May it be assigned to a third party without consent?",
    "Revenue/Profit Sharing": "Does a party share revenue or profit with the other?",
    "Minimum Commitment": "What is the least that a party must buy or order?",
    "Ip Ownership Assignment": "Does what one party invents or creates become the other's property?",
    "License Grant": "Which licence is granted?",
    "Audit Rights": "May a party audit or inspect the other's books, records or places?",
    "Uncapped Liability": "For what is a party liable without a limit?",
    "Cap On Liability": "How is a party's liability limited, in amount or in time?",
    "Liquidated Damages": "Which damages or fees are fixed beforehand for breach or termination?",
    "Insurance": "Which insurance must a party maintain?",
    "Covenant Not To Sue": "Is a party kept from contesting the other's rights, or from bringing claims?",
}
"""A question for each subject."""

FORMS: Mapping[str, Callable[[str], str]] = {
    "name": lambda subject: subject,
    "question": lambda subject: ASKED[subject],
    "both": lambda subject: f"{subject}: {ASKED[subject]}",
    "in a frame": lambda subject: (
        f'Mark the parts of this agreement (if there are any) that deal with "{subject}" and a lawyer should see. '
        f"In detail: {ASKED[subject]}"
    ),
}
"""Ways in which people ask."""


@dataclass(frozen=True, kw_only=True)
class Gold:
    """A subject of an agreement, and for each place that answers it where its words stand."""

    text: str
    subject: str
    places: Sequence[Spans]


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    default = Path("../shared/data/1_structured_fields/contracts_cuad")
    options.add_argument("folder", nargs="?", type=Path, default=default)
    options.add_argument("--half", default="dev")
    options.add_argument("--tokens", type=int, default=4000)
    options.add_argument("--subjects", action="store_true", help="Each subject by itself.")
    chosen = options.parse_args()
    gold = [each for each in _gold(chosen.folder / chosen.half) if COUNTER.count(each.text) > chosen.tokens]
    agreements = len({each.text for each in gold})
    print(f"{len(gold)} questions on {agreements} agreements of more than {chosen.tokens} tokens")
    for form, wording in FORMS.items():
        found = [_is_shown(each, [wording(each.subject)], chosen.tokens) for each in gold]
        _show(f"retrieved, asked by {form}", gold, found, chosen.subjects)
    together = [FORMS["both"](subject) for subject in ASKED]
    found = [_is_shown(each, together, chosen.tokens) for each in gold]
    _show(f"retrieved, all {len(together)} at once", gold, found, chosen.subjects)
    ends = [_covers(shortened(each.text, chosen.tokens, COUNTER), each.places) for each in gold]
    _show("beginning and end", gold, ends, chosen.subjects)


def _is_shown(gold: Gold, asked: Sequence[str], tokens: int) -> bool:
    passages = fitting(
        gold.text, asked, tokens=tokens, counter=COUNTER, embed=embed_offline, gap_tokens=GAP_TOKENS
    )
    return _covers(passages, gold.places)


def _show(what: str, gold: Sequence[Gold], found: Sequence[bool], subjects: bool) -> None:
    print(f"{what:<32}{mean(found):>8.1%}")
    for subject in sorted({each.subject for each in gold}) if subjects else ():
        hits = [hit for each, hit in zip(gold, found, strict=True) if each.subject == subject]
        print(f"  {subject:<36}{sum(hits):>4} of {len(hits)}")


def _gold(half: Path) -> Iterator[Gold]:
    for line in (half / "gold.jsonl").read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        text = (half / row["text"]).read_text(encoding="utf-8")
        for subject, quotes in row["evidence"].items():
            places = [found for quote in quotes for found in _places(text, quote)]
            if places:
                yield Gold(text=text, subject=subject, places=places)


def _places(text: str, quote: str) -> Iterator[Spans]:
    """For each part of a quote where it stands; nothing for what is no word, or is not in the text."""
    for part in quote.split("<omitted>"):
        words = part.split()
        if any(map(str.isalnum, part)):
            found = re.finditer(r"\s+".join(map(re.escape, words)), text)
            spans = [each.span() for each in found]
            if spans:
                yield spans


def _covers(passages: Spans, places: Sequence[Spans]) -> bool:
    return all(any(start <= at and to <= end for at, to in spans for start, end in passages) for spans in places)


if __name__ == "__main__":
    main()
