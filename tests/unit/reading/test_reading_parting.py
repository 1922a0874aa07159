"""A date and a time that OCR ran together are told apart; what else looks like them stays one word."""

from __future__ import annotations

from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from docmill.parsing import holds
from docmill.reading.layout.words import Word
from docmill.reading.ocr.parting import parted

DATES = ("%d/%m/%Y", "%d-%m-%y", "%d.%m.%Y", "%d-%b-%Y", "%Y-%m-%d", "%d/%m/%y")
TIMES = ("%H:%M", "%H:%M:%S", "%I:%M%p")


def parts(text: str) -> list[str]:
    return [part.text for part in parted(Word(text, 10, 20, 110, 30, 0))]


@given(
    st.datetimes(min_value=datetime.fromisoformat("2000-01-01"), max_value=datetime.fromisoformat("2068-12-31")),
    st.sampled_from(DATES),
    st.sampled_from(TIMES),
)
def test_a_date_and_a_time_are_two_words_in_either_order(at: datetime, date: str, time: str) -> None:
    day, hour = at.strftime(date), at.strftime(time)
    assert parts(day + hour) == [day, hour]
    assert parts(hour + day) == [hour, day]
    assert parts(f"Date{day}{hour}") == ["Date", day, hour]
    assert parts(f"Tarikh:{day}{hour}") == [f"Tarikh:{day}", hour]
    assert holds(" ".join(parts(day + hour)), at.date())


@pytest.mark.parametrize(
    "text", ["INV05/01/2018", "1.234.567", "10:30", "12/01", "05/01/2018", "192.168.10.1:80", "10:05/01/2018", ""]
)
def test_what_is_one_word_stays_one(text: str) -> None:
    assert parts(text) == [text]


def test_each_part_has_its_share_of_the_box() -> None:
    first, second = parted(Word("05/01/201813:30", 0, 0, 150, 10, 7))
    assert (first.x0, first.x1, second.x0, second.x1) == (0, 100, 100, 150)
    assert (first.order, second.order) == (7, 7)
