"""Whether a value stands in a text, and where: what is written in another way is found, what is not there is not."""

from __future__ import annotations

import random
import subprocess
import sys
import time as clock
from datetime import UTC, date, datetime, time
from decimal import Decimal
from enum import Enum

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from docmill.parsing import holds
from docmill.parsing.grounding import Document
from docmill.parsing.renderings.words import Words


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("Rech\u00adnungs\u00adbetrag", "Rechnungsbetrag"),
        ("der Rechnungs-\n   betrag und die E-\nMail", "Rechnungsbetrag und die E-Mail"),
        ("der Rechnungs\u00ad\nbetrag", "Rechnungsbetrag"),
        ("Müller-\nLüdenscheidt", "Müller-Lüdenscheidt"),
        ("Meier-Schulze GmbH", "Schulze GMBH"),
        ("a\u200bc\u2060me \ufeffLtd", "Acme Ltd"),
        ("ﬁnancial oﬀice", "financial office"),
        ("ＡＣＭＥ　１２３", "Acme 123"),
        ("STRASSE", "Straße"),
        ("IŞIK, İZMİR", "ışık, izmir"),
        ("“Tea” – it’s", '"Tea" - it\'s'),
        ("Acme,\n  12 High Street | London", "ACME 12 High Street, London"),
        ("東京都千代田区", "東京"),
        ("서울에서 부산까지", "서울"),
        ("ราคา ๑๒๐ บาท", "120"),
        ("Total¹ of 10 m²", "Total"),
        ("Total¹ of 10 m²", "10 m2"),
        ("we write C++", "C++"),
        ("$ 5", "5 $"),
        ("Paid 1.234,50", "1234.50"),
        ("on 12. März 2026", "2026-03-12"),
        ("due 29.11.2026", "2026"),
        ("INV-100234", "100234"),
        ("5 € for tea", "EUR"),
        ("5 $ for tea", "USD"),
        ("…", "…"),
    ],
)
def test_a_text_is_held_however_it_is_set(text: str, value: str) -> None:
    assert holds(text, value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("Annual report", "Ann"),
        ("the party", "art"),
        ("type B12", "12"),
        ("12.50", "12"),
        ("1,234", "234"),
        ("-12.50", "12.50"),
        ("12.50", "-12.50"),
        ("5 €", "5 $"),
        ("5 $ for tea", "CAD"),
        ("we write C", "C++"),
        ("tea for two", "two for tea"),
        ("1 2", "12"),
        ("7", "007"),
        ("12. März 2026", "2026-03-13"),
        ("12. März 2026", "2026-13-12"),
        ("tea", "!!!"),
    ],
)
def test_a_text_that_is_not_there_is_not_held(text: str, value: str) -> None:
    assert not holds(text, value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1,234.50", "1234.5"),
        ("1.234,50 €", "1234.5"),
        ("1 234,50", "1234.5"),
        ("1\u202f234,50", "1234.5"),
        ("1’234.50", "1234.5"),
        ("1234.50", "1234.5"),
        ("₹1,23,456.78", "123456.78"),
        ("١٬٢٣٤٫٥٠", "1234.5"),
        ("१,२३,४५६.७८", "123456.78"),
        ("１２３．５０", "123.5"),
        ("1·5", "1.5"),
        ("2 150,00", "150"),
        ("(1,234.50)", "-1234.5"),
        ("(12) months", "12"),
        ("1,234.50-", "-1234.5"),
        ("−1.234,50", "-1234.5"),
        ("-$5.00", "-5"),
        ("EUR -5,00", "-5"),
        ("US$-5", "-5"),
        ("Rebate: -5 %", "-0.05"),
        ("19 %", "19"),
        ("19 %", "0.19"),
        ("%19", "0.19"),
        ("5 ‰", "0.005"),
        ("RM12.00", "12"),
        ("100EUR", "100"),
        ("27,31JP¥", "27.31"),
        ("100円", "100"),
        ("100kg", "100"),
        ("4x100", "100"),
        ("10 m²", "10"),
        ("Note 12¹", "12"),
        ("a 3-Zimmer-Wohnung", "3"),
        ("Net-30", "30"),
        ("10-20", "20"),
        ("1,2,3", "2"),
        ("100,- EUR", "100"),
        (".50", "0.5"),
        ("No.50", "50"),
        ("1.5e6", "1500000"),
        ("US$1.5 million", "1500000"),
        ("100万円", "1000000"),
        ("31.12.2026", "2026"),
        ("2026-11-29", "2026"),
        ("FY-2026", "2026"),
        ("0012", "12"),
    ],
)
def test_a_number_is_held_however_it_is_written(text: str, value: str) -> None:
    assert holds(text, Decimal(value))
    assert holds(f"Sum {text}; so it is.", Decimal(value))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("112", "12"),
        ("1,234", "12"),
        ("1,234", "234"),
        ("1.5", "15"),
        ("15", "1.5"),
        ("0.123", "123"),
        ("12.34", "34"),
        ("1,234,5", "1234.5"),
        ("1\u202f234,50", "234.5"),
        ("4\u00a0174,67", "174.67"),
        ("-5", "5"),
        ("5", "-5"),
        ("−5", "5"),
        ("1,234.50-", "1234.5"),
        ("10-20", "-20"),
        ("3–5", "-5"),
        ("A-100", "100"),
        ("RE-2026-0012", "12"),
        ("RE-2026-0012", "2026"),
        ("INV12345", "12345"),
        ("12345abc6", "12345"),
        ("12:30", "30"),
        ("29/11/2026", "11"),
        ("192.168.1.1", "168"),
        ("10 milligrams", "10000000"),
        ("x", "NaN"),
        ("9" * 50, "9e49"),
        ("1", "1e999999"),
    ],
)
def test_a_number_that_is_not_there_is_not_held(text: str, value: str) -> None:
    assert not holds(text, Decimal(value))


def test_numbers_that_no_text_holds_are_no_trouble() -> None:
    assert not holds("1" * 5000, 10**5000)
    assert not holds("x", float("inf"))
    assert holds("5", 5.0)
    assert holds("0", -0.0)


TWELFTH = date(2026, 3, 12)


@pytest.mark.parametrize(
    "text",
    [
        "12.3.2026",
        "12. 03. 26",
        "12/3-2026",
        "03/12/2026",
        "2026-03-12T10:00Z",
        "26. 3. 12.",
        "20260312",
        "12032026",
        "２０２６年３月１２日",
        "二〇二六年三月十二日",
        "令和8年3月12日",
        "2026년 3월 12일 목요일",
        "12 มีนาคม 2569",
        "12.\n03.2026",
        "12\u00a0mars\u00a02026",
        "12MAR26",
        "12-Mar-2026",
        "March 12,2026",
        "Mar. 12, '26",
        "Thursday, March 12th, 2026",
        "12 March, Thursday, 2026",
        "the 12th day of March, 2026",
        "12 ΜΑΡΤΙΟΥ 2026",
        "12º de março de 2026",
        "d’12 de març del 2026",
        "12 במרץ 2026",
        "ngày 12 tháng 3 năm 2026",
        "2026 m. kovo 12 d.",
        "2026. gada 12. marts",
        "2026(e)ko martxoaren 12(a)",
        "12-го марта 2026 года",
        "12. Mrz. 2026",
        "5.-12. März 2026",
        "12 to 15 March 2026",
        "March 5-12, 2026",
        "12. März bis 31. Dezember 2026",
        "March 12 to April 3, 2026",
    ],
)
def test_a_date_is_held_in_any_language_and_order(text: str) -> None:
    assert holds(text, TWELFTH)
    assert holds(f"Rechnung 7 vom {text}.", TWELFTH)


@pytest.mark.parametrize(
    "text",
    [
        "12. Mai 2026",
        "13. März 2026",
        "12. März 2025",
        "3 December 2026",
        "März 2026",
        "112. März 2026",
        "12. März 20261",
        "12 March 12,500",
        "10:12 March 2026",
        "3.12.2026",  # with points the day comes first
        "12.3.20261",
        "1.12.3.2026",
        "12 3 2026",  # columns
        "12 or 13 of 2026, in March",
        "5 March 2026 to 12 April 2026",
        "mar 12/05/2026",  # a Tuesday
        "十一月 12, 2026",
    ],
)
def test_a_date_that_is_not_there_is_not_held(text: str) -> None:
    assert not holds(text, TWELFTH)


def test_a_month_of_two_languages_has_both_readings() -> None:
    """What Poles call their November is the Croats' October."""
    assert holds("29. listopada 2026", date(2026, 10, 29))
    assert holds("29 listopada 2026", date(2026, 11, 29))


@pytest.mark.parametrize(
    ("text", "value", "expected"),
    [
        ("at 14:30", time(14, 30), True),
        ("at 2:30 p.m.", time(14, 30), True),
        ("um 14.30 Uhr", time(14, 30), True),
        ("午後2時30分", time(14, 30), True),
        ("at 12:15 AM", time(0, 15), True),
        ("at 3 pm", time(15), True),
        ("at 2:30", time(14, 30), False),
        ("at 14:30:15", time(14, 30), False),
        ("2026-03-12T14:30:00Z", datetime(2026, 3, 12, 14, 30, tzinfo=UTC), True),
        ("12. März 2026, 14:30 Uhr", datetime(2026, 3, 12, 14, 30, tzinfo=UTC), True),
        ("12. März 2026", datetime(2026, 3, 12, tzinfo=UTC), True),
        ("12. März 2026", datetime(2026, 3, 12, 14, 30, tzinfo=UTC), False),
    ],
)
def test_times_are_held_in_24_hours_and_in_twice_12(text: str, value: object, expected: bool) -> None:
    assert holds(text, value) is expected


class Colour(Enum):
    RED = "red"


class Entry(BaseModel):
    name: str
    amount: Decimal | None


def test_values_of_other_kinds_are_held_by_what_they_are_made_of() -> None:
    text = "red tea 7.00"
    assert holds(text, Colour.RED)
    assert holds(text, [Entry(name="Tea", amount=Decimal(7)), {"amount": None, "sold": True}, ()])
    assert not holds(text, Entry(name="Tea", amount=Decimal(8)))
    assert holds(text, None)
    assert holds(text, False)
    assert holds(text, " ")


def test_every_place_of_a_value_is_told_in_order() -> None:
    document = Document("Te\u00ada for 5 €, 12. März 2026;\nTEA for 5,00 EUR, 12.03.2026")
    assert [document.text[start:end] for start, end in document.places("tea")] == ["Te\u00ada", "TEA"]
    assert [document.text[start:end] for start, end in document.places(5)] == ["5", "5,00"]
    assert [document.text[start:end] for start, end in document.places(TWELFTH)] == ["12. März 2026", "12.03.2026"]
    assert document.places(True) == []


@given(
    number=st.decimals(min_value=-(10**9), max_value=10**9, places=2, allow_nan=False),
    group=st.sampled_from([",", ".", "'", "’", "\u202f", "\u00a0", ""]),
    before=st.sampled_from(["", "€", "EUR ", "Sum: ", "(", "|"]),
    other=st.integers(0, 9),
)
def test_a_number_is_held_in_its_own_rendering_and_no_other_number_is(
    number: Decimal, group: str, before: str, other: int
) -> None:
    written = (
        f"{abs(number):,.2f}".replace(".", ";").replace(",", group).replace(";", "," if group == "." else ".")
    )
    text = f"{'-' if number < 0 else ''}{before}{written}" if before in {"€", "EUR "} else f"{before}{written}"
    document = Document(text)
    meant = number if before in {"€", "EUR "} else abs(number)
    assert document.holds(meant)
    changed = Decimal(str(meant)[:-1] + str(other))
    assert document.holds(changed) is (changed == meant)
    assert not document.holds(meant * 100) or meant == 0


HOSTILE = (
    "1 ", "1.", "1,", "1-", "1/", "a-\n", "12 March ", "March ", "1 to ", "de ", "(€", "\u00ad", "111 ", "一月",
    "12:30 ", "A-1-", "1年", "A/1 ", "-", " ", "\n", "a1", "١٢ ", "99.99.9999.", "EUR-", "x1", "5-6 March ", "ม",
)  # fmt: skip


@pytest.mark.parametrize("piece", HOSTILE)
def test_no_text_takes_more_than_its_share_of_time(piece: str) -> None:
    """In CPU time it is a tenth of the bound or less; whatever grows with the square of the text is beyond it."""
    holds("12. März 2026", TWELFTH)  # reads the names
    begun = clock.process_time()
    document = Document(piece * (20_000 // len(piece)))
    for value in ("tea q", "a b a", Decimal("1.25"), TWELFTH, time(14, 30), "-5", "%%"):
        document.places(value)
    assert clock.process_time() - begun < 5


@pytest.mark.parametrize("between", [" ", "\t", "\n"])
def test_two_dates_side_by_side_hold_no_third_between_them(between: str) -> None:
    text = f"Due 04/05/2026{between}03/03/2026"
    document = Document(text)
    for value in ("2026-03-03", date(2026, 3, 3)):
        assert [text[start:end] for start, end in document.places(value)] == ["03/03/2026"]
    assert not holds(f"05/04/2026{between}03/07", "2026-03-07")
    assert holds("den 7/3 2026", date(2026, 3, 7))
    assert holds("2026-03-07 and no more", "2026-03-07")


def test_a_currency_that_stands_at_every_amount_is_looked_for_once() -> None:
    document = Document("Paper 2.50 kr and ink 3.00 a piece\n" * 6000)
    begun = clock.process_time()
    assert not any(document.holds("EUR") for _ in range(2000))
    assert all(document.places("SEK") for _ in range(5))
    assert clock.process_time() - begun < 10


def test_each_row_of_a_long_list_whose_words_are_few_is_looked_up_at_once() -> None:
    """A tenth of the bound; looking at each place of a row's rarest word took twice as much as it allows."""
    draw = random.Random(7)
    rows = [" ".join(draw.choices(("tea", "cake", "card", "shop", "cup"), k=9)) for _ in range(6000)]
    begun = clock.process_time()
    document = Document("\n".join(rows))
    assert all(map(document.holds, rows))
    assert clock.process_time() - begun < 5


@settings(max_examples=10)
@given(
    words=st.lists(st.sampled_from(["tea", "Cake", "b", "é", "7"]), min_size=1100, max_size=1300),
    first=st.integers(0, 1000),
    length=st.integers(1, 7),
)
def test_words_that_stand_often_are_found_wherever_they_follow_one_another(
    words: list[str], first: int, length: int
) -> None:
    found = Words(" ".join(words))
    wanted = found.words[first : first + length]
    everywhere = [at for at in range(len(words)) if found.words[at : at + length] == wanted]
    assert list(found.runs(wanted)) == [(at, at + length) for at in everywhere]


@given(text=st.text(alphabet="aZ09_ -.\n", max_size=60))
def test_words_of_plain_letters_are_those_of_any_others(text: str) -> None:
    """What stands behind makes another reading of the same words."""
    plain, other = Words(text), Words(f"{text} é")
    assert plain.words == other.words[:-1]
    assert (list(plain.starts), list(plain.ends)) == (list(other.starts)[:-1], list(other.ends)[:-1])
    runs = [(list(each.runs([word])), word) for each in (plain, other) for word in plain.words]
    assert runs[: len(runs) // 2] == runs[len(runs) // 2 :]


@settings(max_examples=200)
@given(
    text=st.text(max_size=80), value=st.text(min_size=1, max_size=10) | st.integers() | st.floats() | st.dates()
)
def test_whatever_is_asked_has_an_answer(text: str, value: object) -> None:
    document = Document(text)
    places = document.places(value)
    assert all(0 <= start < end <= len(text) for start, end in places)
    assert document.holds(value) or not places
    assert document.find(value) is None or document.find(value) in places


def test_the_names_of_months_are_read_when_a_text_asks_for_one() -> None:
    """Babel's data are tens of megabytes and half a second: the command, the client and most texts go without."""
    asked = (
        "import sys, docmill.parsing, docmill.errors\n"
        "from datetime import date\n"
        "assert docmill.parsing.holds('Tea 7.00 12.03.2026', date(2026, 3, 12))\n"
        "assert not any(name.split('.')[0] == 'babel' for name in sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", asked], check=True)


@pytest.mark.parametrize("end", ["works D", "grade C", "x", "R", "-", "(", "%"])
def test_what_ends_a_line_is_no_part_of_the_number_that_begins_the_next(end: str) -> None:
    assert holds(f"Paper {end}\n264.30\t08.01.2026", Decimal("264.30"))
    assert not holds(f"Paper {end}\n264.30\t08.01.2026", Decimal("-264.30"))
    assert not holds(f"Paper {end}\n264.30\t08.01.2026", Decimal("2.643"))
