"""Citations: the number is one that was shown, and the quote stands in that very passage."""

from __future__ import annotations

import json

import pytest

from docmill.errors import ReplyWrong
from docmill.parsing import accept
from docmill.parsing.citing import cited
from docmill.parsing.grounding import Document
from prompts import Registry

PASSAGES = ("The gate opens\nat low water.", "Bread is baked for 40 minutes.")


def reply(*citations: tuple[int, str], answer: str | None = "At low water.", answered: bool = True) -> str:
    found = [{"passage": number, "quote": quote} for number, quote in citations]
    return json.dumps({"answered": answered, "answer": answer, "citations": found})


def accepted(text: str) -> dict[str, object]:
    output = Registry().get("answer").output_model
    return accept(text, output, document="When does the gate open?", passages=PASSAGES)


def test_a_quote_of_the_passage_it_names_is_accepted_and_placed() -> None:
    value = accepted(reply((1, "opens at low water"), (2, "40 minutes")))
    places = list(cited(value, [Document(passage) for passage in PASSAGES]))
    assert places == [("citations.0.quote", 0, 9, 27), ("citations.1.quote", 1, 19, 29)]
    assert PASSAGES[0][9:27] == "opens\nat low water"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (reply((3, "opens")), "no passage of that number"),
        (reply((2, "opens at low water")), "does not stand in the passage"),
        (reply((1, "opens at high water")), "does not stand in the passage"),
        (reply((1, ".")), "does not stand in the passage"),
        (reply(), "at least one citation"),
        (reply((1, "opens"), answer=" "), "needs its words"),
        (reply((1, "opens"), answer=None, answered=False), "no citations"),
        (reply(answer="Perhaps at noon.", answered=False), "has no answer"),
    ],
)
def test_what_is_not_in_the_passages_is_rejected(text: str, problem: str) -> None:
    with pytest.raises(ReplyWrong, match=problem):
        accepted(text)


def test_a_refusal_is_an_answer() -> None:
    assert accepted(reply(answer=None, answered=False)) == {"answered": False, "answer": None, "citations": []}
