"""Bytes to characters."""

from __future__ import annotations

import codecs

import pytest
from hypothesis import given
from hypothesis import strategies as st

from docmill.errors import Unreadable
from docmill.reading.cleaning import clean, tidy
from docmill.reading.decoding import decode

GERMAN = "Sehr geehrte Damen und Herren, die Rechnung über 1.250,00 € ist am 3. März fällig. Größe, Straße.\r\n"
RUSSIAN = "Уважаемые господа, направляем вам счет за услуги. Просим оплатить до конца месяца.\r\n"
SPANISH = "Señor Muñoz, adjuntamos la factura del año pasado. ¿Está pagada?\r\n"
CZECH = "Vážení, zasíláme fakturu číslo 42 za služby. Prosíme o úhradu do příštího týdne. Děkujeme.\r\n"
JAPANESE = "拝啓 請求書をお送りいたします。今月末までにお支払いください。よろしくお願いします。\r\n"


@pytest.mark.parametrize(
    ("mark", "encoding"),
    [
        (codecs.BOM_UTF8, "utf-8"),
        (codecs.BOM_UTF16_LE, "utf-16-le"),
        (codecs.BOM_UTF16_BE, "utf-16-be"),
        (codecs.BOM_UTF32_LE, "utf-32-le"),
        (codecs.BOM_UTF32_BE, "utf-32-be"),
    ],
)
def test_a_mark_decides_and_is_no_part_of_the_text(mark: bytes, encoding: str) -> None:
    decoded = decode(mark + JAPANESE.encode(encoding), "cp1252")
    assert (decoded.text, decoded.encoding, decoded.warnings) == (JAPANESE, encoding, ())


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
def test_wide_text_without_a_mark_is_recognised(encoding: str) -> None:
    decoded = decode(GERMAN.encode(encoding))
    assert (decoded.text, decoded.encoding) == (GERMAN, encoding)


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        (GERMAN, "cp1252"),
        (SPANISH, "cp1252"),
        ("## können\n\näöüß\n", "cp1252"),
        ("Café Zürich 12.50", "cp1252"),
        (CZECH, "cp1250"),
        (RUSSIAN, "cp1251"),
        (RUSSIAN, "cp866"),
        (JAPANESE, "shift_jis"),
    ],
)
def test_an_undeclared_encoding_is_guessed_and_said_to_be(text: str, encoding: str) -> None:
    decoded = decode(text.encode(encoding))
    assert decoded.text == text
    assert [warning.kind for warning in decoded.warnings] == ["encoding_guessed"]


def test_a_declared_charset_is_believed_where_it_fits() -> None:
    assert decode(RUSSIAN.encode("koi8-r"), "KOI8-R").text == RUSSIAN


@pytest.mark.parametrize("declared", ["no-such-charset", "base64", "idna", "ascii", "", "a\0b", "utf-16"])
def test_a_false_declaration_does_no_harm(declared: str) -> None:
    assert decode("Müller schuldet 5 €".encode(), declared).text in {
        "Müller schuldet 5 €",
        "MÃ¼ller schuldet 5 â‚¬",  # "ascii" means Windows-1252, which reads almost any bytes
    }


def test_latin_1_means_windows_1252() -> None:
    assert decode(b"\x93quoted\x94 5 \x80", "iso-8859-1").text == "“quoted” 5 €"


def test_stray_windows_bytes_in_utf8_are_read_as_such() -> None:
    body = "Müller café\n".encode() + "Müller café\n".encode("cp1252") + b"Total 119.00"
    assert decode(body).text == "Müller café\nMüller café\nTotal 119.00"


@pytest.mark.parametrize("body", [bytes(range(256)) * 8, b"\x00\x01\x02\x03" * 200, b"\x7fELF" + bytes(500)])
def test_binary_data_is_unsupported(body: bytes) -> None:
    with pytest.raises(Unreadable) as caught:
        decode(body)
    assert caught.value.kind == "unsupported"


@given(st.text(alphabet=st.characters(exclude_categories=["Cs", "Cc"]), max_size=200))
def test_utf8_comes_back_as_it_went_in(text: str) -> None:
    body = text.encode()
    if not body.startswith((codecs.BOM_UTF8,)):
        assert decode(body).text == text


@given(st.binary(max_size=400), st.sampled_from([None, "utf-8", "cp1252", "utf-7", "x"]))
def test_wild_bytes_become_text_or_are_unsupported(body: bytes, declared: str | None) -> None:
    try:
        clean(decode(body, declared).text).encode()
    except Unreadable as error:
        assert error.kind == "unsupported"


@given(st.text())
def test_clean_text_can_be_kept(text: str) -> None:
    cleaned = clean(text)
    cleaned.encode()
    assert not set("\r\0\ufffe\uffff") & set(cleaned)
    assert clean(cleaned) == cleaned or cleaned.startswith("\ufeff")


def test_what_nobody_sees_is_taken_out_and_joiners_stay_where_letters_join() -> None:
    assert clean("to\u200bt\u202eal\u2060 1\u200d0\x08\x1b[2J\U000e0041\ufeff") == "total 10[2J"
    assert clean("می\u200cخواهم 👩\u200d💻\ta\fb\vc") == "می\u200cخواهم 👩\u200d💻\ta\fb\vc"


def test_line_ends_become_one_kind() -> None:
    assert clean("a\r\nb\rc\nd\0\ud800") == "a\nb\nc\nd\ufffd"


def test_tidy_text_has_no_trailing_spaces_or_gaps() -> None:
    assert tidy("\n\na  \n\n\n\n\n\nb\t\r\n") == "a\n\n\nb"


def test_joiners_are_taken_out_in_linear_time() -> None:
    joiners = "\u200c\u200d" * 500_000
    assert clean(f"a{joiners}") == "a"
    assert clean(f"{joiners}a") == "a"
    assert clean(joiners) == joiners
