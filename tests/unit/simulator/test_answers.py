"""Answers out of a file: what is given where which anchors stand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from docmill.errors import Misconfigured
from docmill.simulator import Settings
from docmill.simulator.answers import Answers, Known, read_answers

ROWS = [{"path": "/rows/-", "anchor": f"B-{number}", "value": {"number": number}} for number in (1, 2, 11)]
SCALARS: list[dict[str, Any]] = [
    {"path": "/period/start", "anchor": "1 March", "value": "2026-03-01"},
    {"path": "/currency", "anchor": "EUR", "value": "EUR"},
]


def answers(tmp_path: Path, *lines: object) -> Answers:
    file = tmp_path / "answers.jsonl"
    file.write_text("".join(f"{line if isinstance(line, str) else json.dumps(line)}\n" for line in lines))
    return read_answers(file)


def test_items_come_in_the_order_of_their_anchors_and_each_as_often_as_its_own_stands(tmp_path: Path) -> None:
    known = answers(tmp_path, *ROWS, *SCALARS)
    assert known.found_in("B-11 tea\nB-2 tea\nB-11 tea, EUR, EUR") == {
        "rows": [{"number": 11}, {"number": 2}, {"number": 11}],
        "currency": "EUR",
    }
    assert known.found_in("Since 1\n March, in EUR") == {"period": {"start": "2026-03-01"}, "currency": "EUR"}


def test_an_anchor_stands_as_whole_words(tmp_path: Path) -> None:
    known = answers(tmp_path, *ROWS, {"path": "/total", "anchor": "(12.50)", "value": 12.5})
    assert known.found_in("B-111 B-1x xB-2 B 2 EUROPE 12.50 (12,50)") == {}
    assert known.found_in("(B-1) total:(12.50)") == {"rows": [{"number": 1}], "total": 12.5}


def test_a_lazy_model_leaves_items_out_and_says_nothing(tmp_path: Path) -> None:
    known = answers(tmp_path, *ROWS, *SCALARS, {"path": "/notes/-", "anchor": "tea", "value": "tea"})
    text = "B-1 tea B-2 B-11 EUR"
    assert known.found_in(text, most=2) == {"rows": [{"number": 1}], "notes": ["tea"], "currency": "EUR"}
    assert known.found_in(text, most=0) == {"currency": "EUR"}


def test_places_in_a_list_and_a_list_for_an_answer(tmp_path: Path) -> None:
    known = answers(
        tmp_path,
        {"path": "/accounts/1/name", "anchor": "Giro", "value": "Giro"},
        {"path": "/accounts/0/rows/-", "anchor": "B-1", "value": 1},
        {"path": "/a~1b", "anchor": "B-2", "value": None},
    )
    assert known.found_in("Giro B-1 B-2") == {"accounts": [{"rows": [1]}, {"name": "Giro"}], "a/b": None}
    assert answers(tmp_path, {"path": "/-", "anchor": "B-1", "value": 1}).found_in("B-1 B-1") == [1, 1]


def test_a_line_that_is_said_twice_is_known_once(tmp_path: Path) -> None:
    known = answers(tmp_path, ROWS[0], ROWS[0], {**ROWS[0], "value": 7})
    assert known.found_in("B-1") == {"rows": [{"number": 1}, 7]}


@pytest.mark.parametrize(
    ("line", "rule"),
    [
        ("{", "no JSON"),
        ('{"path": "/a", "anchor": "a", "value": NaN}', "no JSON"),
        ("[" * 5000, "no JSON"),
        ({"path": "/a", "value": 1}, "object with path, anchor and value"),
        ({"path": "/a", "anchor": "a", "value": 1, "page": 2}, "object with path, anchor and value"),
        ({"path": "a", "anchor": "a", "value": 1}, "begins with a slash"),
        ({"path": "/a//b", "anchor": "a", "value": 1}, "none of them empty"),
        ({"path": "/-/b", "anchor": "a", "value": 1}, "only as its last"),
        ({"path": "/" + "/".join("a" * 30), "anchor": "a", "value": 1}, "at most 20 steps"),
        ({"path": "/a", "anchor": " - ", "value": 1}, "a text with a word"),
        ({"path": "/a", "anchor": 7, "value": 1}, "a text with a word"),
        ({"path": "/a", "anchor": "a" * 2001, "value": 1}, "at most 2000 characters"),
    ],
)
def test_a_line_that_is_none_is_named(tmp_path: Path, line: object, rule: str) -> None:
    with pytest.raises(Misconfigured, match=f"line 2: .*{rule}"):
        answers(tmp_path, ROWS[0], line)


def test_paths_that_cannot_both_be_a_missing_file_and_an_empty_one(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="/rows cannot be"):
        answers(tmp_path, ROWS[0], {"path": "/rows", "anchor": "a", "value": 1})
    with pytest.raises(Misconfigured, match="cannot be read"):
        read_answers(tmp_path / "nowhere")
    with pytest.raises(Misconfigured, match="holds no line"):
        answers(tmp_path, "")
    with pytest.raises(Misconfigured, match="--answers FILE"):
        Settings(lazy=60)


def test_five_thousand_rows_are_found_in_their_text_at_once() -> None:
    rows = [Known(path=("rows", "-"), anchor=f"2026-03-01 item {number}", value=number) for number in range(5000)]
    text = "\n".join(f"2026-03-01 item {number} 12.50" for number in range(5000))
    assert Answers(rows).found_in(text) == {"rows": list(range(5000))}


@given(st.lists(st.integers(0, 30)), st.sampled_from([" ", "\n", ", ", " | "]))
def test_whatever_stands_is_answered_in_order(numbers: list[int], between: str) -> None:
    known = Answers([Known(path=("rows", "-"), anchor=f"R{number}", value=number) for number in range(30)])
    found = known.found_in(between.join(f"R{number}" for number in numbers)).get("rows", [])
    assert found == [number for number in numbers if number < 30]
