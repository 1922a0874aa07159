"""Where columns and lines of a chart lie."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from web.chart import MOST_DAYS, MOST_SERIES, Chart, draw, draw_month

START = date(2026, 2, 27)
costs = st.dictionaries(
    st.tuples(
        st.integers(0, 400).map(lambda days: (START + timedelta(days=days)).isoformat()),
        st.sampled_from("abcdefghij"),
    ),
    st.floats(0, 1e7).map(lambda usd: round(usd, 6)),
    min_size=1,
    max_size=60,
)


def drawn(found: dict[tuple[str, str], float]) -> Chart:
    chart = draw(found)
    assert chart is not None
    return chart


def test_nothing_is_no_chart() -> None:
    assert draw({}) is None


@given(costs)
def test_everything_lies_in_the_plot_and_is_as_high_as_it_cost(found: dict[tuple[str, str], float]) -> None:
    chart = drawn(found)
    top = chart.lines[-1].usd
    assert sum(column.usd for column in chart.columns) == pytest.approx(sum(found.values()), abs=1e-6)
    for column in chart.columns:
        assert 0 <= column.x < column.x + column.width <= 100
        bottom = 100.0
        for part in column.parts:
            assert part.y + part.height == pytest.approx(bottom)
            assert part.height == pytest.approx(100 * part.usd / top)
            bottom = part.y
        assert bottom >= -1e-6


@given(costs)
def test_no_day_is_left_out_and_few_lines_and_colours_are_used(found: dict[tuple[str, str], float]) -> None:
    chart = drawn(found)
    whens = [column.when for column in chart.columns]
    assert whens == sorted(set(whens))
    assert {day[: len(whens[0])] for day, _ in found} <= set(whens)
    assert 2 <= len(chart.lines) <= 6
    assert len(chart.series) <= MOST_SERIES
    days = (date.fromisoformat(max(found)[0]) - date.fromisoformat(min(found)[0])).days + 1
    assert chart.unit == ("day" if days <= MOST_DAYS else "month")
    assert len(chart.columns) == days or chart.unit == "month"


def test_what_is_cheapest_shares_a_colour() -> None:
    chart = drawn({("2026-03-01", name): float(usd) for usd, name in enumerate("abcdefgh", 1)})
    assert chart.series == ("h", "g", "f", "e", "d", "others")
    assert chart.columns[0].parts[-1].usd == 1 + 2 + 3


@pytest.mark.parametrize(
    ("highest", "lines"),
    [(1.06, [0, 0.5, 1, 1.5]), (1.0, [0, 0.5, 1]), (0.00031, [0, 0.0001, 0.0002, 0.0003, 0.0004]), (0, [0, 1])],
)
def test_lines_lie_at_round_amounts(highest: float, lines: list[float]) -> None:
    assert [line.usd for line in drawn({("2026-03-01", "a"): highest}).lines] == pytest.approx(lines)


def points(written: str) -> list[tuple[float, float]]:
    pairs = [each.split(",") for each in written.split()]
    return [(float(x), float(y)) for x, y in pairs]


def test_a_month_is_drawn_as_far_as_it_has_come_and_its_band_goes_on_from_there() -> None:
    month = draw_month([1.0, 2.0, 3.0], [(3.5, 4.0), (5.0, 8.0)], days=4, today=2.5, cap=10.0)
    spent, band = points(month.spent), points(month.band)
    assert [x for x, _ in spent] == [0, 25, 50, 62.5]
    assert band[0] == band[-1] == spent[-1], "it begins where the line ends"
    assert [x for x, _ in points(month.middle)] == [62.5, 75, 100]
    assert month.cap_y == 0, "the highest line is the cap's"
    assert min(y for _, y in band) == pytest.approx(20)


def test_a_month_without_anything_is_drawn_too() -> None:
    month = draw_month([0.0], [], days=30, today=0.2, cap=None)
    assert (month.band, month.middle, month.cap_y) == ("", "", None)
    assert points(month.spent) == [(0, 100), (0.67, 100)]
