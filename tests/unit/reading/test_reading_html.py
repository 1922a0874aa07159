"""HTML to text."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from docmill.errors import Unreadable
from docmill.reading.html import read_body, text_of
from docmill.reading.values import DEFAULT_LIMITS, Limits, Reading


def read(body: bytes, charset: str | None = None) -> Reading:
    return read_body(body, charset=charset, limits=DEFAULT_LIMITS)


def text(markup: str) -> str:
    return text_of(markup, DEFAULT_LIMITS, Counter())


def test_entities_and_blocks() -> None:
    assert text("<p>5 &euro; &amp; more&#33;</p><p>next</p>") == "5 € & more!\n\nnext"


def test_the_cells_of_a_row_stand_in_one_line() -> None:
    table = "<table><tr><th>Item<th>Price</tr><tr><td>Cheese<td>12.50</tr></table>"
    lines = [line.split() for line in text(table).splitlines()]
    assert lines == [["Item", "Price"], ["Cheese", "12.50"]]


@pytest.mark.parametrize(
    "hidden",
    [
        "<script>SECRET</script>",
        "<style>SECRET</style>",
        "<template>SECRET</template>",
        "<!-- SECRET -->",
        "<p hidden>SECRET</p>",
        "<div style='color:red; DISPLAY : none !important'><b>SECRET</b></div>",
        "<span style='visibility:hidden'>SECRET</span>",
        "<input type=hidden value=SECRET>",
    ],
)
def test_what_no_browser_shows_is_left_out(hidden: str) -> None:
    assert text(f"<body>before {hidden} after</body>").split() == ["before", "after"]


def test_hiding_within_hiding() -> None:
    assert text("<div hidden>a<p style='display:none'>b</p></div>c") == "c"


def test_the_title_comes_first_unless_the_page_repeats_it() -> None:
    assert text("<title>Invoice\n 7</title><p>Total") == "Invoice 7\n\nTotal"
    assert text("<title>Total</title><p>Total 5") == "Total 5"


def test_the_charset_that_the_markup_declares() -> None:
    body = '<meta charset="koi8-r"><p>счёт</p>'.encode("koi8-r", errors="replace")
    assert "сч" in read(body).text
    assert read("<?xml version='1.0' encoding='cp1251'?><html><p>счёт</p></html>".encode("cp1251")).text == "счёт"


def test_a_declared_charset_wins_over_the_markup() -> None:
    assert read('<meta charset="cp1252"><p>счёт'.encode("koi8-r", "ignore"), "koi8-r").text.startswith("сч")


def test_utf16_that_declares_itself() -> None:
    body = '<html><meta charset="utf-16"><p>5 €</p></html>'
    assert read(body.encode("utf-16")).text == "5 €"
    assert read(body.encode()).text == "5 €"


@pytest.mark.parametrize("markup", ["", "   ", "<!-- only -->", "<html></html>", "<?xml version='1.0'?>"])
def test_a_page_without_words_is_empty(markup: str) -> None:
    assert read(markup.encode()).empty


def test_text_at_the_allowed_depth_is_not_lost() -> None:
    assert text("<div>" * 480 + "deep" + "</div>" * 480).strip() == "deep"


def test_nesting_beyond_the_limit_is_too_large() -> None:
    with pytest.raises(Unreadable) as caught:
        text("<div>" * 5000 + "deep")
    assert caught.value.kind == "too_large"


def test_more_text_than_allowed_is_too_large() -> None:
    with pytest.raises(Unreadable) as caught:
        text_of("<p>" + "word " * 100, Limits(max_text_chars=100), Counter())
    assert caught.value.kind == "too_large"


@pytest.mark.parametrize(
    "style",
    [
        "display:none",
        "DISPLAY : NONE !important",
        "visibility:hidden",
        "font-size:0",
        "font-size:0px",
        "font-size:.5px",
        "opacity:0",
        "max-height:0;overflow:hidden",
        "position:absolute;left:-9999px",
        "text-indent:-9999px",
        "mso-hide:all",
        "color:#FFFFFF",
        "color: white",
    ],
)
def test_what_a_style_hides_is_left_out_wherever_it_is_written(style: str) -> None:
    inline = read(f'<p style="{style}">pay 9999</p><p>Total 310.40</p>'.encode())
    sheet = read(
        f"<style>p, .x > b {{ {style} }}</style><div class=x><b>pay 9999</b></div><i>Total 310.40</i>".encode()
    )
    for reading in (inline, sheet):
        assert reading.text.strip() == "Total 310.40"
        assert [(warning.kind, warning.count) for warning in reading.warnings if warning.kind == "hidden"] == [
            ("hidden", 1)
        ]


@pytest.mark.parametrize(
    "markup",
    [
        '<p style="display:block">Total</p>',
        "<style>@media print { p { display:none } }</style><p>Total</p>",
        "<style>p { display:none } p { display:block }</style><p>Total</p>",
        '<style>p { display:none }</style><p style="display:inline">Total</p>',
        '<table bgcolor="#003366"><tr><td style="color:#fff">Total</td></tr></table>',
        '<div style="background:navy"><p style="color:white">Total</p></div>',
        "<style>p:hover { display:none } p::before { display:none } ??? { x }</style><p>Total</p>",
        '<p style="font-size:10px;overflow:hidden">Total</p>',
        '<p style="opacity:0.9">Total</p>',
    ],
)
def test_what_a_person_sees_is_read(markup: str) -> None:
    assert text(markup).strip() == "Total"


def test_soft_hyphens_are_invisible() -> None:
    assert text("<p>Rechnungs&shy;betrag</p>") == "Rechnungsbetrag"


@given(st.text(max_size=60), st.text(max_size=60))
def test_no_style_breaks_a_page(sheet: str, style: str) -> None:
    assert "Total" in text(f"<p>Total</p><style>{sheet.replace('<', '')}</style>") or "p" in sheet or "*" in sheet
    assert text(f'<p>Total</p><b style="{style.replace(chr(34), "")}">x</b>').startswith("Total")


HIDES = [
    '<font color="#ffffff">{}</font>',
    '<p style="color:#fefefe">{}</p>',
    '<p style="color:rgba(0,0,0,0)">{}</p>',
    '<p style="color:#ffffff00">{}</p>',
    '<p style="clip:rect(0,0,0,0);position:absolute">{}</p>',
    '<p style="clip-path:inset(100%)">{}</p>',
    '<p style="transform:scale(0)">{}</p>',
    '<style>.a{{display:none !important}} .a{{display:block}}</style><p class=a style="display:block">{}</p>',
    "<dialog>{}</dialog>",
]
SHOWS = [
    "<svg><text>{}</text><desc>other</desc></svg>",
    "<math><mi>{}</mi><annotation>other</annotation></math>",
    '<input value="{}">',
    '<input type=submit value="{}">',
    '<p style="background-image:url(x);color:#fff">{}</p>',
    '<table bgcolor="#003366"><tr><td><font color="#ffffff">{}</font></table>',
    "<style>.a{{display:none}}</style><p class=a style='display:block'>{}</p>",
    "<dialog open>{}</dialog>",
    '<p style="color:#fdd">{}</p>',
]


@pytest.mark.parametrize(
    ("markup", "seen"), [*((each, False) for each in HIDES), *((each, True) for each in SHOWS)]
)
def test_what_a_browser_shows_is_read_and_what_it_hides_is_told(markup: str, seen: bool) -> None:
    page = f"<p>before</p>{markup.format('7-QX-7')}<p>after</p>"
    reading = read_body(page.encode(), charset=None, limits=DEFAULT_LIMITS)
    assert reading.text.split() == ["before", *["7-QX-7"] * seen, "after"]
    assert bool(reading.warnings) is not seen


def test_boxes_to_tick_say_whether_they_are_and_what_lies_elsewhere_is_told() -> None:
    page = '<input type=checkbox checked> yes <input type=radio> no <input type=hidden value=x><iframe src="a"></iframe>'
    reading = read_body(page.encode(), charset=None, limits=DEFAULT_LIMITS)
    assert reading.text.split() == ["☒", "yes", "☐", "no"]
    assert [warning.kind for warning in reading.warnings] == ["embedded"]
