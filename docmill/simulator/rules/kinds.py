"""Which kind of document it is, by the words that such documents use."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

__all__ = ["label", "occurs", "telling_words"]

# Each word with its weight; a word counts at most three times.
WORDS: Mapping[str, Mapping[str, float]] = {
    "invoice": {
        r"invoice (?:number|no|date|summary)": 4,
        r"\binvoice\b": 2,
        r"rechnung(?:snummer|sdatum)?": 3,
        r"\bfacture\b": 3,
        r"due date": 2,
        r"bill to": 2,
        r"iban": 2,
        r"umsatzsteuer|mwst|\btva\b": 1.5,
        r"amount due": 1.5,
    },
    "credit_note": {r"credit note|gutschrift|avoir\b|rechnungskorrektur|stornorechnung|note de crédit": 9},
    "receipt": {
        r"cashier": 3,
        r"\bcash\b": 1.5,
        r"\bchange\b": 1.5,
        r"gst": 1.5,
        r"\brm\b": 1,
        r"sdn\.? ?bhd": 2,
        r"thank you": 1,
        r"receipt": 2,
        r"qty": 1,
        r"round(?:ing|ed)": 2,
        r"\btel\b": 0.5,
        r"tax invoice": 1.5,
        r"goods sold": 3,
        r"jalan": 1,
        r"\btotal\b": 0.5,
    },
    "nda": {
        r"non ?-? ?disclosure": 5,
        r"confidentiality agreement": 5,
        r"confidential information": 3,
        r"non ?-? ?compet|non ?-? ?solicit": 2,
        r"receiving party|disclosing party": 3,
        r"\bevaluation material\b": 3,
        r"proprietary information": 1,
        r"non ?-? ?circumvention": 2,
    },
    "contract": {
        r"\bagreement\b": 1.2,
        r"entered into": 2,
        r"\bwhereas\b": 2,
        r"\bhereby\b": 1.5,
        r"\bparties\b": 1,
        r"\bshall\b": 0.8,
        r"licen[sc]e|distribut|franchis|services? agreement|affiliate": 1.2,
        r"exhibit": 0.8,
        r"hereinafter|herein": 1,
    },
    "email": {
        r"subject:": 5,
        r"email_?from:|\bfrom:": 4,
        r"\b(?:hi|hello|dear)\b[ ,]\w*": 2.5,
        r"unsubscribe": 3,
        r"kind regards|best regards|sincerely|cheers": 2.5,
        r"view in browser|this email": 3,
        r"received date": 4,
        r"reply to this": 3,
        r"\bteam\b": 0.7,
        r"click": 1.2,
    },
    "research_abstract": {
        r"boundary layer|supersonic|hypersonic|mach number|laminar|turbulen|airfoil|aerodynamic": 2.5,
        r" \. ": 0.7,
        r"experimental|theoretical|investigat": 1.5,
        r"results|method|solution|analysis": 0.8,
        r"flow|pressure|velocity|heat transfer|buckling|equations?": 1,
    },
    "encyclopedia": {
        r"\b(?:was|were|became|had)\b": 0.6,
        r"\bcentury\b": 2,
        r"\b(?:1[0-9]\d\d|20[01]\d)\b": 0.7,
        r"\b(?:known as|located|population|founded|history|university|city|war)\b": 1,
        r"\bthe\b": 0.3,
    },
    "financial_report": {
        r"\t": 1.5,
        r"fiscal|year ended|december 31|months ended": 2.5,
        r"in (?:millions|thousands)": 3.5,
        r"net (?:income|sales|revenue)|revenues?|earnings|operating": 1.2,
        r"\bcompany’?'?s\b|shares?|tax(?:es)?\b": 0.6,
        r"consolidated|balance sheet|cash flows?|deferred|accounting|asu|fair value": 1.5,
        r"\$\d": 0.5,
    },
    "customer_message": {
        r"\b(?:my|i|i'm|i've|me)\b": 1.6,
        r"\?": 2,
        r"\b(?:how|why|what|can|when|where|do)\b": 0.8,
        r"card|account|top.?up|transfer|pin|refund|charge": 0.8,
        r"help|please": 0.8,
    },
}
SHAPES = {
    kind: {re.compile(word, re.IGNORECASE): weight for word, weight in words.items()}
    for kind, words in WORDS.items()
}
LONGEST_READ = 8000
"""Characters: what a document is, it says at its beginning."""
A_MESSAGE = 400
"""Characters of the longest customer's message."""


def label(document: str, labels: Sequence[str]) -> str:
    """The label whose words occur most; labels without rules of their own count by their name."""
    text = document[:LONGEST_READ]
    return max(labels, key=lambda each: _score(each, text))


def occurs(document: str, label: str) -> bool:
    """Returns whether anything in the document speaks for the label; some kind of document it always is."""
    return label in SHAPES or _score(label, document[:LONGEST_READ]) > 0


def telling_words(document: str, most: int) -> list[str]:
    """Words of the document that tell its kind; its first words where none do."""
    text = document[:LONGEST_READ]
    best = max(SHAPES, key=lambda kind: _score(kind, text))
    hits = (shape.search(text) for shape in sorted(SHAPES[best], key=lambda shape: -SHAPES[best][shape]))
    found = [match[0].strip() for match in hits if match and match[0].strip(" .\t?")]
    words = list({word.casefold(): word for word in reversed(found)}.values())[::-1]
    return words[:most] or document.split()[:1] or [document]


def _score(kind: str, text: str) -> float:
    shapes = SHAPES.get(kind)
    if shapes is None:
        words = re.escape(kind.replace("_", " ").casefold())
        return 2.0 * len(re.findall(rf"(?<!\w){words}(?!\w)", text.casefold()))
    score = sum(weight * min(3, len(shape.findall(text))) for shape, weight in shapes.items())
    short = len(text) <= A_MESSAGE
    if kind == "customer_message":
        return score + (4 if short and "\n" not in text.strip() else -12)
    return score - (2 if short and kind == "encyclopedia" else 0)
