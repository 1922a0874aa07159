"""Of each word of a document it is known what becomes of it: it is in the text once, or told of, or was struck out."""

from __future__ import annotations

import pytest

from bench.everyword import lost_words
from docmill.reading.formats import read_document
from docmill.reading.values import DEFAULT_LIMITS
from tests.marked import MAKERS

SEEDS = range(40)


@pytest.mark.parametrize("kind", MAKERS)
def test_each_word_that_is_seen_is_read_and_no_other(kind: str) -> None:
    wrong = {}
    for seed in SEEDS:
        made = MAKERS[kind](seed)
        reading = read_document(made.body, name=f"a.{kind}", limits=DEFAULT_LIMITS)
        found = {word: reading.text.count(word) for word in made.fates}
        lost = [word for word in made.having("seen") if found[word] == 0]
        shown = [word for word in (*made.having("told"), *made.having("struck")) if found[word]]
        told = sum(warning.count for warning in reading.warnings)
        if lost or shown or told < len(made.having("told")):
            wrong[seed] = (lost, shown, reading.warning, reading.text)
    assert not wrong


@pytest.mark.parametrize("kind", [kind for kind in MAKERS if kind != "pdf"])
def test_a_walk_of_the_package_finds_no_word_that_reading_lost(kind: str) -> None:
    for seed in SEEDS[:10]:
        made = MAKERS[kind](seed)
        reading = read_document(made.body, name=f"a.{kind}", limits=DEFAULT_LIMITS)
        gone = {word for lost in lost_words(made.body, reading) for word in lost.words if word in made.fates}
        assert gone <= {*made.having("told"), *made.having("struck")}
