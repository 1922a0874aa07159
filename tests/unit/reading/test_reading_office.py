"""Word, PowerPoint and OpenDocument files: every word that a person sees comes out once, and what is left out is told."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from docmill.errors import Unreadable
from docmill.reading import docx as word
from docmill.reading import odt as opendocument
from docmill.reading import pptx as powerpoint
from docmill.reading.values import DEFAULT_LIMITS, Reading
from tests.packages import NAMESPACES, docx, odt, package, pptx


def read_word(body: str, **parts: str) -> Reading:
    return word.read_body(docx(body, parts=parts), charset=None, limits=DEFAULT_LIMITS)


def read_slides(*slides: str, **parts: str) -> Reading:
    return powerpoint.read_body(pptx(*slides, parts=parts), charset=None, limits=DEFAULT_LIMITS)


def read_odt(body: str, styles: str = "") -> Reading:
    return opendocument.read_body(odt(body, styles=styles), charset=None, limits=DEFAULT_LIMITS)


def run(text: str, properties: str = "") -> str:
    return f'<w:r><w:rPr>{properties}</w:rPr><w:t xml:space="preserve">{text}</w:t></w:r>'


def paragraph(*runs: str) -> str:
    return f"<w:p>{''.join(runs)}</w:p>"


def kinds(reading: Reading) -> dict[str, int]:
    return {warning.kind: warning.count for warning in reading.warnings}


INLINE = [
    "<w:ins>{}</w:ins>",
    "<w:moveTo>{}</w:moveTo>",
    "<w:sdt><w:sdtPr/><w:sdtContent>{}</w:sdtContent></w:sdt>",
    "<w:smartTag>{}</w:smartTag>",
    "<w:customXml>{}</w:customXml>",
    '<w:hyperlink r:id="x">{}</w:hyperlink>',
    '<w:fldSimple w:instr="DOCPROPERTY no">{}</w:fldSimple>',
    '<w:bdo w:val="rtl">{}</w:bdo>',
    "<w:dir>{}</w:dir>",
    "<w:a.new.wrapper>{}</w:a.new.wrapper>",
]
AROUND = [
    "<w:sdt><w:sdtContent>{}</w:sdtContent></w:sdt>",
    "<w:customXml>{}</w:customXml>",
    "<w:ins>{}</w:ins>",
    "<w:tbl><w:tr><w:tc>{}</w:tc></w:tr></w:tbl>",
    "<w:tbl><w:sdt><w:tr><w:sdt><w:sdtContent><w:tc>{}</w:tc></w:sdtContent></w:sdt></w:tr></w:sdt></w:tbl>",
    "<w:p><w:r><w:pict><v:textbox><w:txbxContent>{}</w:txbxContent></v:textbox></w:pict></w:r></w:p>",
]


def nested(wrappers: list[str], inner: str) -> str:
    for wrapper in wrappers:
        inner = wrapper.format(inner)
    return inner


@given(st.lists(st.sampled_from(INLINE), max_size=5), st.lists(st.sampled_from(AROUND), max_size=4))
def test_a_word_is_read_once_in_whatever_it_is_wrapped(inline: list[str], around: list[str]) -> None:
    text = read_word(nested(around, paragraph(run("before "), nested(inline, run("7-QX-7")), run(" after")))).text
    assert text.count("before 7-QX-7 after") == 1


def test_what_was_struck_out_or_instructs_word_is_no_text() -> None:
    reading = read_word(
        paragraph(
            "<w:del><w:r><w:delText>410.00</w:delText></w:r></w:del>",
            f"<w:moveFrom>{run('elsewhere')}</w:moveFrom>",
            '<w:r><w:fldChar w:fldCharType="begin"/></w:r><w:r><w:instrText>PAGE</w:instrText></w:r>',
            run("475.00"),
        )
    )
    assert reading.text == "475.00"


@pytest.mark.parametrize("properties", ["<w:vanish/>", '<w:sz w:val="1"/>', '<w:color w:val="FFFFFF"/>'])
def test_words_that_nobody_sees_are_left_out_and_told(properties: str) -> None:
    reading = read_word(paragraph(run("seen "), run("pay 9999", properties)))
    assert (reading.text.strip(), kinds(reading)) == ("seen", {"hidden": 1})


def test_a_style_hides_words_too() -> None:
    style = '<w:style w:styleId="{}"><w:basedOn w:val="{}"/>{}</w:style>'
    styles = style.format("Base", "", "<w:rPr><w:vanish/></w:rPr>") + style.format("Note", "Base", "")
    reading = read_word(
        paragraph(run("a", '<w:rStyle w:val="Note"/>'), run("b", '<w:rStyle w:val="Note"/><w:vanish w:val="0"/>')),
        styles=f"<w:styles {NAMESPACES}>{styles}</w:styles>",
    )
    assert (reading.text, kinds(reading)) == ("b", {"hidden": 1})


def test_white_words_on_a_painted_ground_are_seen() -> None:
    white = run("Total", '<w:color w:val="FFFFFF"/>')
    shaded = f'<w:p><w:pPr><w:shd w:fill="000000"/></w:pPr>{white}</w:p>'
    assert (
        read_word(shaded + f"<w:tbl><w:tr><w:tc>{paragraph(white)}</w:tc></w:tr></w:tbl>").text == "Total\nTotal"
    )


def test_an_empty_cell_and_a_merged_one_leave_their_gap() -> None:
    def cell(text: str, properties: str = "") -> str:
        return f"<w:tc><w:tcPr>{properties}</w:tcPr>{paragraph(run(text))}</w:tc>"

    rows = [
        cell("wide", '<w:gridSpan w:val="2"/>') + cell("c"),
        cell("tall", '<w:vMerge w:val="restart"/>') + cell("") + cell("60.00"),
        cell("", "<w:vMerge/>") + cell("x") + cell("y"),
    ]
    table = "".join(f"<w:tr>{row}</w:tr>" for row in rows)
    assert read_word(f"<w:tbl>{table}</w:tbl>").text.split("\n") == ["wide\t\tc", "tall\t\t60.00", "\tx\ty"]


def test_a_continued_cell_with_nothing_above_it_is_read() -> None:
    merged = "<w:tcPr><w:vMerge/></w:tcPr>"
    assert read_word(f"<w:tbl><w:tr><w:tc>{merged}{paragraph(run('Rent'))}</w:tc></w:tr></w:tbl>").text == "Rent"


def test_notes_and_comments_stand_after_the_text_under_their_marks() -> None:
    notes = (
        f'<w:footnotes {NAMESPACES}><w:footnote w:id="0" w:type="separator">{paragraph(run("---"))}</w:footnote>'
    )
    notes += f'<w:footnote w:id="2">{paragraph(run("Without VAT"))}</w:footnote></w:footnotes>'
    comments = f'<w:comments {NAMESPACES}><w:comment w:id="1" w:author="Ana">{paragraph(run("Check"))}</w:comment>'
    reading = read_word(
        paragraph(run("1,200 EUR"), '<w:r><w:footnoteReference w:id="2"/></w:r>'),
        footnotes=notes,
        comments=f"{comments}</w:comments>",
    )
    assert reading.text == "1,200 EUR[1]\n[1] Without VAT\nComment by Ana: Check"
    assert reading.warnings == ()


@pytest.mark.parametrize(
    ("kind", "title_page", "shown"), [("default", False, True), ("first", True, True), ("first", False, False)]
)
def test_a_header_is_read_where_it_is_shown(kind: str, title_page: bool, shown: bool) -> None:
    section = (
        f'<w:sectPr><w:headerReference w:type="{kind}" r:id="header1"/>{"<w:titlePg/>" * title_page}</w:sectPr>'
    )
    reading = read_word(
        paragraph(run("Invoice")) + section,
        header1=f"<w:hdr {NAMESPACES}>{paragraph(run('CVR 31415926'))}</w:hdr>",
    )
    assert reading.text == ("CVR 31415926\nInvoice" if shown else "Invoice")
    assert kinds(reading) == ({} if shown else {"hidden": 1})


def test_the_numbers_of_clauses_are_read() -> None:
    def clause(text: str, level: int, name: int = 1) -> str:
        numbered = f'<w:pPr><w:numPr><w:ilvl w:val="{level}"/><w:numId w:val="{name}"/></w:numPr></w:pPr>'
        return f"<w:p>{numbered}{run(text)}</w:p>"

    def level(place: int, form: str, text: str) -> str:
        return f'<w:lvl w:ilvl="{place}"><w:numFmt w:val="{form}"/><w:lvlText w:val="{text}"/></w:lvl>'

    levels = level(0, "decimal", "%1.") + level(1, "decimal", "%1.%2") + level(2, "lowerLetter", "(%3)")
    numbering = f'<w:numbering {NAMESPACES}><w:abstractNum w:abstractNumId="7">{levels}</w:abstractNum>'
    numbering += f'<w:abstractNum w:abstractNumId="8">{level(0, "bullet", "o")}</w:abstractNum>'
    numbering += "".join(
        f'<w:num w:numId="{name}"><w:abstractNumId w:val="{abstract}"/></w:num>'
        for name, abstract in ((1, 7), (2, 8))
    )
    body = clause("Term", 0) + clause("One year", 1) + clause("a", 2) + clause("b", 2) + clause("Fees", 0)
    text = read_word(body + clause("Rent", 1) + clause("dot", 0, 2), numbering=f"{numbering}</w:numbering>").text
    assert text.split("\n") == ["1. Term", "1.1 One year", "(a) a", "(b) b", "2. Fees", "2.1 Rent", "dot"]


def test_fields_symbols_and_formulas_say_what_a_person_sees() -> None:
    box = '<w:r><w:fldChar w:fldCharType="begin"><w:ffData><w:checkBox><w:default w:val="{}"/></w:checkBox></w:ffData>'
    choice = '<w:ddList><w:result w:val="1"/><w:listEntry w:val="air"/><w:listEntry w:val="sea"/></w:ddList>'
    fraction = "<m:oMath><m:f><m:num><m:r><m:t>a</m:t></m:r></m:num><m:den><m:r><m:t>b</m:t></m:r></m:den></m:f></m:oMath>"
    text = read_word(
        paragraph(
            *(f"{box.format(value)}</w:fldChar></w:r>" for value in (1, 0)),
            f"<w:r><w:fldChar><w:ffData>{choice}</w:ffData></w:fldChar></w:r>",
            fraction,
            '<w:r><w:sym w:char="F0FE"/><w:noBreakHyphen/><w:softHyphen/><w:tab/></w:r>',
        )
    ).text
    assert text == "☒☐seaa/b☒-\t"


def shape(*lines: str, properties: str = "") -> str:
    text = "".join(f"<a:p><a:r><a:t>{line}</a:t></a:r></a:p>" for line in lines)
    return f"<p:sp><p:nvSpPr><p:cNvPr {properties}/></p:nvSpPr><p:txBody>{text}</p:txBody></p:sp>"


def test_slides_groups_and_tables_are_read_in_their_order() -> None:
    cells = "".join(
        f"<a:tc><p:txBody>{text}</p:txBody></a:tc>" for text in ("<a:p><a:r><a:t>x</a:t></a:r></a:p>", "")
    )
    table = f"<p:graphicFrame><a:graphic><a:graphicData><a:tbl><a:tr>{cells}</a:tr></a:tbl></a:graphicData></a:graphic>"
    alternate = (
        f"<mc:AlternateContent><mc:Choice>{shape('one')}</mc:Choice><mc:Fallback>{shape('one')}</mc:Fallback>"
    )
    unseen = shape("unseen", properties='hidden="1"')
    reading = read_slides(
        f"<p:grpSp>{shape('in', 'group')}</p:grpSp>{alternate}</mc:AlternateContent>",
        f"{table}</p:graphicFrame>{unseen}",
    )
    assert reading.text == "in\ngroup\none\n\nx\t"
    assert (reading.pages, kinds(reading)) == ((0, 14), {"hidden": 1})


def test_opendocument_paragraphs_lists_notes_and_tables() -> None:
    cell = "<table:table-cell{}><text:p>{}</text:p></table:table-cell>"
    rows = (
        cell.format("", "Chair")
        + "<table:table-cell table:number-columns-repeated='2'/>"
        + cell.format("", "310.40")
    )
    note = "<text:note><text:note-citation>1</text:note-citation><text:note-body><text:p>Net</text:p></text:note-body>"
    reading = read_odt(
        f"<text:p>Total<text:s text:c='2'/><text:span>310<text:tab/>EUR</text:span>{note}</text:note></text:p>"
        f"<text:list><text:list-item><text:p>item</text:p></text:list-item></text:list>"
        f"<table:table><table:table-row>{rows}</table:table-row></table:table>"
        "<text:tracked-changes><text:p>gone</text:p></text:tracked-changes>",
        "<office:master-styles><style:footer><text:p>Page foot</text:p></style:footer></office:master-styles>",
    )
    assert reading.text.split("\n") == ["Total  310\tEUR[1]", "item", "Chair\t\t\t310.40", "[1] Net", "Page foot"]


@pytest.mark.parametrize("read", [word.read_body, powerpoint.read_body, opendocument.read_body])
@pytest.mark.parametrize("name", ["_rels/.rels", "content.xml", "nothing.xml"])
def test_a_broken_package_is_corrupt(read: object, name: str) -> None:
    assert callable(read)
    with pytest.raises(Unreadable) as caught:
        read(package({name: "<a><b></a>"}), charset=None, limits=DEFAULT_LIMITS)
    assert caught.value.kind == "corrupt"
