"""Values of two versions against what a person stands for."""

from __future__ import annotations

from typing import Any

import pytest

from tasks.gating import held, scores

RIGHT: dict[str, Any] = {"total": 4.1, "date": None, "lines": [{"name": "tea"}, {"name": "cake"}]}


@pytest.mark.parametrize(
    ("old", "new", "broken", "mended"),
    [
        (RIGHT, RIGHT, [], []),
        (RIGHT, {**RIGHT, "total": 7.0}, ["total"], []),
        ({**RIGHT, "total": 7.0}, RIGHT, [], ["total"]),
        ({**RIGHT, "total": 7.0}, {**RIGHT, "total": 8.0}, [], []),
        (RIGHT, None, ["total", "date", "lines.0.name", "lines.1.name"], []),
        (RIGHT, {**RIGHT, "date": 0}, ["date"], []),
        (RIGHT, {**RIGHT, "lines": [{"name": "tea"}]}, ["lines.1.name"], []),
        ({**RIGHT, "lines": []}, RIGHT, [], ["lines.0.name", "lines.1.name", "lines"]),
    ],
)
def test_a_value_is_broken_where_the_old_version_had_it_right(
    old: Any, new: Any, broken: list[str], mended: list[str]
) -> None:
    found = held(RIGHT, old, new)
    assert [each.path for each in found if each.broken] == broken
    assert [each.path for each in found if each.mended] == mended


def test_a_value_that_only_a_version_gives_is_wrong() -> None:
    more = {**RIGHT, "lines": [*RIGHT["lines"], {"name": "jam"}]}
    (jam,) = [each for each in held(RIGHT, more, RIGHT) if each.path == "lines.2.name"]
    assert (jam.old, jam.right) == ("jam", "(nothing)")


def test_fields_are_summed_over_cases_and_places() -> None:
    wrong = {**RIGHT, "lines": [{"name": "tea"}, {"name": "jam"}]}
    found = {each.field: each for each in scores([held(RIGHT, RIGHT, wrong), held(RIGHT, wrong, RIGHT)])}
    assert list(found) == ["total", "date", "lines.*.name"]
    names = found["lines.*.name"]
    assert (names.values, names.old, names.new, names.broken, names.mended) == (4, 3, 3, 1, 1)
