"""Dates, numbers and amounts as Babel writes them in each language: all are found, and nothing that is near them."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from datetime import date, timedelta
from decimal import Decimal
from typing import Literal

import pytest
from babel import Locale
from babel.dates import format_date
from babel.numbers import format_currency, format_decimal, format_percent

from docmill.parsing.grounding import Document
from docmill.parsing.renderings.names import LOCALES

REGIONS = ("de_CH", "en_IN", "en_US", "es_MX", "fr_CH", "it_CH", "nl_BE", "pt_BR", "zh_TW", "ar_EG", "hi_IN")
SENTENCES = ("{}", "Rechnung vom {} über", "Date: {}", "total {} due.", "a|{}|b", "日期：{}", "foo\t{}\nbar")
NAMED = ("medium", "long", "full", "yMMMd", "yMMMEd", "yMMMMd")
NUMERIC = ("short", "yMd", "yMEd")
CURRENCIES = ("EUR", "USD", "GBP", "CHF", "JPY", "INR", "SEK", "PLN")
FORMS: tuple[Literal["standard", "accounting", "name"], ...] = ("standard", "accounting", "name")
SHARED = {"hr", "bs", "pl", "cs", "sr_Latn", "sl"}
"""Languages of which one calls a month what another calls its neighbour."""

languages = pytest.mark.parametrize("language", sorted({*LOCALES, *REGIONS}))


def pattern(language: str, form: str) -> str:
    locale = Locale.parse(language)
    found = locale.date_formats.get(form) or locale.datetime_skeletons.get(form) or locale.date_formats["long"]
    return str(found.pattern)


def written(language: str, form: str, day: date) -> str:
    return format_date(day, pattern(language, form), locale=language)


def days(language: str, count: int) -> Iterator[date]:
    random_ = random.Random(language)
    for _ in range(count):
        yield date(1950, 1, 1) + timedelta(random_.randrange(31_000))


def placed(text: str) -> Document:
    return Document(SENTENCES[sum(map(ord, text)) % len(SENTENCES)].format(text))


@languages
def test_a_date_is_found_as_each_language_writes_it(language: str) -> None:
    for day in days(language, 2):
        for form in (*NAMED, *NUMERIC):
            text = written(language, form, day)
            assert placed(text).holds(day), text


@languages
def test_where_the_month_has_a_name_no_other_date_is_found(language: str) -> None:
    for form in NAMED:
        if not re.search("MMM|LLL", pattern(language, form)):
            continue
        for day in days(language, 2):
            text = written(language, form, day)
            document = placed(text)
            for other in near(day, months=language not in SHARED):
                assert not document.holds(other), (text, other)


def near(day: date, *, months: bool) -> Iterator[date]:
    """A year, a day and a month away, and with day and month swapped."""
    yield date(day.year + 1, day.month, min(day.day, 28))
    yield date(day.year - 10, day.month, min(day.day, 28))
    yield date(day.year, day.month, day.day % 28 + 1)
    if months:
        yield date(day.year, day.month % 12 + 1, min(day.day, 28))
        if day.day <= 12 and day.day != day.month:
            yield date(day.year, day.day, day.month)


def amounts(language: str) -> Iterator[Decimal]:
    random_ = random.Random(language)
    for digits in (3, 5, 6, 7, 9):
        amount = Decimal(random_.randrange(1, 10**digits)) / 100
        yield -amount if random_.random() < 0.3 else amount


@languages
def test_a_number_is_found_as_each_language_writes_it_and_none_that_is_near(language: str) -> None:
    for amount in amounts(language):
        document = placed(format_decimal(amount, locale=language))
        assert document.holds(amount), document.text
        for other in (-amount, amount * 10, amount / 10, amount * 1000, amount + Decimal("0.01"), amount + 100):
            assert not document.holds(other) or not other, (document.text, other)


@languages
def test_an_amount_is_found_beside_its_currency(language: str) -> None:
    for amount, code in zip(amounts(language), CURRENCIES, strict=False):
        for form in FORMS:
            text = format_currency(amount, code, None, language, False, form, False)
            assert placed(text).holds(amount), text
            assert not placed(text).holds(amount * 10), text
            assert form != "standard" or not placed(text).holds(-amount), text


@languages
def test_a_share_is_found_as_a_percentage(language: str) -> None:
    for share in ("0.19", "0.075", "1.2"):
        text = format_percent(Decimal(share), locale=language, decimal_quantization=False)
        assert placed(text).holds(Decimal(share)), text
        assert placed(text).holds(Decimal(share) * 100), text
        assert not placed(text).holds(Decimal(share) * 10), text
