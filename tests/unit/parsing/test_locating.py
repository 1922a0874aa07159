"""Of several places of a value the one that fits its neighbours: on documents that are made up, and in plain text."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.places import make, make_cards, score
from docmill.parsing import Place, locate
from docmill.reading.values import reading_of


def located(value: object, text: str) -> dict[str, Place]:
    return locate(value, reading_of(text, "text/plain"))


def quoted(value: object, text: str, around: int = 0) -> dict[str, str]:
    """What stands at each place, with so many characters before it."""
    return {
        path: text[place.start - around : place.end]
        for path, place in located(value, text).items()
        if place.start is not None and place.end is not None
    }


@pytest.mark.parametrize("seed", range(1, 26))
def test_each_value_of_a_made_up_document_is_found_where_it_was_drawn(seed: int) -> None:
    found = score(make(seed))
    assert not found.in_another_row
    assert found.right >= 0.97 * found.leaves, found.wrong


@pytest.mark.parametrize("seed", [139, 146, 167, 176, 190, 200, 316])
def test_also_on_pages_that_are_shown_turned_and_where_a_name_holds_a_number(seed: int) -> None:
    found = score(make(seed))
    assert not found.in_another_row
    assert found.right == found.leaves, found.wrong


@pytest.mark.parametrize("seed", range(12))
def test_items_that_stand_side_by_side_keep_their_fields(seed: int) -> None:
    found = score(make_cards(seed))
    assert not found.in_another_row
    assert found.right == found.leaves, found.wrong


def test_items_side_by_side_are_told_apart_where_nothing_is_laid_out() -> None:
    text = "Name: Chair\tName: Chair\nCity: Graz\tCity: Gent\nAmount: 10.00\tAmount: 10.00\n" * 2
    cities = ("Graz", "Gent", "Graz", "Gent")
    items = [{"name": "Chair", "city": city, "amount": 10} for city in cities]
    found = located({"items": items}, text)
    lines = [[text.count("\n", 0, found[f"items.{at}.{name}"].start) for name in items[0]] for at in range(4)]
    assert lines == [[0, 1, 2], [0, 1, 2], [3, 4, 5], [3, 4, 5]]
    for at in range(4):
        for name in items[0]:
            start = found[f"items.{at}.{name}"].start or 0
            assert text[text.rfind("\n", 0, start) + 1 : start].count("\t") == at % 2, (at, name)


def test_equal_rows_are_taken_one_after_the_other_and_never_twice() -> None:
    row = {"name": "Tea", "amount": 2.5}
    text = "Tea 2.50 each\n\nName\tAmount\n" + "Tea\t2.50\n" * 4 + "Total\t10.00\n"
    places = located({"rows": [row] * 4}, text)
    starts = [places[f"rows.{at}.name"].start for at in range(4)]
    assert starts == [text.index("Tea\t2.50") + 9 * at for at in range(4)]
    for at in range(4):
        name, amount = places[f"rows.{at}.name"], places[f"rows.{at}.amount"]
        assert (name.end, name.occurrences, amount.quote) == ((amount.start or 0) - 1, 5, "2.50")


def test_two_fields_of_a_row_with_one_value_stand_each_in_its_column() -> None:
    text = "Item\tPrice\tQty\tAmount\nTea\t2.00\t2\t4.00\nPot\t3.00\t1\t3.00\nCup\t1.00\t1\t1.00\n"
    rows = [
        {"item": "Tea", "price": 2, "qty": 2, "amount": 4},
        {"item": "Pot", "price": 3, "qty": 1, "amount": 3},
        {"item": "Cup", "price": 1, "qty": 1, "amount": 1},
    ]
    found = located({"rows": rows}, text)
    for at, row in enumerate(("Tea\t2.00\t2\t4.00", "Pot\t3.00\t1\t3.00", "Cup\t1.00\t1\t1.00")):
        for cell, name in enumerate(("item", "price", "qty", "amount")):
            place = found[f"rows.{at}.{name}"]
            assert text[: place.start].rpartition("\n")[2].count("\t") == cell, (at, name, place)
            assert text[text.rindex("\n", 0, place.start) + 1 :].startswith(row)


def test_the_fields_of_an_item_are_never_taken_from_the_item_beside_it() -> None:
    text = "".join(f"Name: N{at}\nCity: Bergen\nAmount: {100 + at % 2}\n\n" for at in range(6))
    items = [{"name": f"N{at}", "city": "Bergen", "amount": 100 + at % 2} for at in range(6)]
    for path, place in located({"items": items}, text).items():
        at = int(path.split(".")[1])
        block = text.index(f"Name: N{at}\n")
        assert block <= (place.start or 0) < block + text[block:].index("\n\n"), path


def test_a_list_may_be_answered_from_its_end() -> None:
    days = [f"{1 + at // 3:02}.03.2026" for at in range(12)]
    text = "".join(f"{day}\tTea\t2.50\n" for day in days)
    rows = [{"date": f"2026-03-{1 + at // 3:02}", "text": "Tea", "amount": 2.5} for at in range(12)]
    found = located({"rows": rows[::-1]}, text)
    lines = [[text.count("\n", 0, found[f"rows.{at}.{name}"].start) for name in rows[0]] for at in range(12)]
    assert lines == [[11 - at] * 3 for at in range(12)]


def test_a_field_stands_by_its_label() -> None:
    text = "Subtotal 10.00\nVAT 0.00\nTotal 10.00\nDue date 2026-03-01\nOrder date 2026-03-01\n"
    value = {"total": 10, "subtotal": 10, "order_date": "2026-03-01", "due_date": "2026-03-01"}
    assert quoted(value, text, around=6) == {
        "total": "Total 10.00",
        "subtotal": "total 10.00",
        "order_date": " date 2026-03-01",
        "due_date": " date 2026-03-01",
    }
    found = located(value, text)
    assert (found["due_date"].start or 0) < (found["order_date"].start or 0)


def test_what_stands_once_may_be_shared_and_what_stands_nowhere_is_not_found() -> None:
    found = located({"name": "Ann", "signed": "Ann", "city": "Oslo", "seen": True, "none": None}, "by Ann")
    assert (found["name"].start, found["signed"].start) == (3, 3)
    assert [found[name].found for name in ("city", "seen", "none")] == [False] * 3
    assert found["city"].as_json() == {"found": False}
    assert found["name"].as_json() == {
        "found": True, "page": None, "boxes": [], "start": 3, "end": 6, "quote": "Ann", "by": "text",
        "occurrences": 1,
    }  # fmt: skip


ANY = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(["a b", 7, "7"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=150)
@given(ANY, st.text("ab 7.\n\t", max_size=60))
def test_no_answer_breaks_it_and_each_place_holds_its_value(value: Any, text: str) -> None:
    for place in located(value, text).values():
        assert place.found == (place.start is not None)
        if place.found:
            assert 0 <= (place.start or 0) < (place.end or 0) <= len(text)
            assert place.occurrences >= 1


def test_a_large_answer_of_values_that_stand_everywhere_takes_seconds_at_most() -> None:
    text = "".join(f"Item {at % 7}\t1\t10.00\t{at % 5}.50\n" for at in range(6000))
    rows = [{"name": f"Item {at % 7}", "qty": 1, "price": 10, "fee": at % 5 + 0.5} for at in range(1400)]
    begun = time.process_time()
    found = located({"rows": rows}, text)
    assert time.process_time() - begun < 10
    lines = [text.count("\n", 0, found[f"rows.{at}.name"].start) for at in range(0, 1400, 100)]
    assert lines == sorted(set(lines))
