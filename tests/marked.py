"""Documents made up of marked words, each of which is seen, told of, or struck out: by seed, in each format.

A mark is a word that stands once in a document. Who reads the document has those that are seen in the text, each
once; those that are told of in no text but in a warning; and those that were struck out nowhere.
"""

from __future__ import annotations

import email
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from email import policy
from email.message import EmailMessage
from typing import Literal, TypeAlias

from tests import packages
from tests.packages import CHART, DRAWING, NAMESPACES, relationships

__all__ = ["MAKERS", "Marked"]

Fate: TypeAlias = Literal["seen", "told", "struck"]


@dataclass(kw_only=True)
class Marked:
    """A document that is being made up, its marks, and what becomes of each."""

    seed: int
    body: bytes = b""
    fates: dict[str, Fate] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.chance = random.Random(self.seed)

    def mark(self, fate: Fate = "seen") -> str:
        """A new word."""
        word = f"q{self.seed}x{len(self.fates)}z"
        self.fates[word] = fate
        return word

    def name(self) -> str:
        """A name that no other thing has."""
        return f"name{self.chance.getrandbits(40)}"

    def having(self, fate: Fate) -> list[str]:
        """The marks with that fate."""
        return [word for word, each in self.fates.items() if each == fate]

    def some(self, makers: Sequence[Callable[[Marked], str]], count: int) -> list[str]:
        """What some of the makers make, each at least once where there is room."""
        chosen = [*makers, *self.chance.choices(makers, k=max(0, count - len(makers)))]
        self.chance.shuffle(chosen)
        return [maker(self) for maker in chosen[:count]]


# --- Word ---


def run(text: str, properties: str = "") -> str:
    return f'<w:r><w:rPr>{properties}</w:rPr><w:t xml:space="preserve">{text}</w:t></w:r>'


def paragraph(*runs: str) -> str:
    return f"<w:p>{''.join(runs)}</w:p>"


INLINE = (
    "<w:ins>{}</w:ins>",
    "<w:moveTo>{}</w:moveTo>",
    "<w:sdt><w:sdtPr/><w:sdtContent>{}</w:sdtContent></w:sdt>",
    "<w:smartTag>{}</w:smartTag>",
    '<w:hyperlink r:id="x">{}</w:hyperlink>',
    '<w:fldSimple w:instr="AUTHOR">{}</w:fldSimple>',
    "<w:dir>{}</w:dir>",
)
AROUND = (
    "<w:sdt><w:sdtContent>{}</w:sdtContent></w:sdt>",
    "<w:customXml>{}</w:customXml>",
    "<w:tbl><w:tr><w:tc>{}</w:tc></w:tr></w:tbl>",
    "<w:tbl><w:sdt><w:tr><w:sdt><w:sdtContent><w:tc>{}</w:tc></w:sdtContent></w:sdt></w:tr></w:sdt></w:tbl>",
    "<w:p><w:r><w:pict><v:textbox><w:txbxContent>{}</w:txbxContent></v:textbox></w:pict></w:r></w:p>",
    (
        "<w:p><w:r><mc:AlternateContent><mc:Choice><w:drawing><wps:txbx><w:txbxContent>{0}</w:txbxContent></wps:txbx>"
        "</w:drawing></mc:Choice><mc:Fallback><w:pict><v:textbox><w:txbxContent>{0}</w:txbxContent></v:textbox>"
        "</w:pict></mc:Fallback></mc:AlternateContent></w:r></w:p>"
    ),
)


def wrapped(document: Marked) -> str:
    """A word in wrappers within wrappers."""
    made = run(document.mark())
    for _ in range(document.chance.randrange(4)):
        made = document.chance.choice(INLINE).format(made)
    made = paragraph(run("before "), made, run(" after"))
    for _ in range(document.chance.randrange(3)):
        made = document.chance.choice(AROUND).format(made)
    return made


def struck_out(document: Marked) -> str:
    word = document.mark("struck")
    return document.chance.choice(
        [
            paragraph(f"<w:del><w:r><w:delText>{word}</w:delText></w:r></w:del>"),
            paragraph(f"<w:moveFrom>{run(word)}</w:moveFrom>"),
            f"<w:tbl><w:tr><w:trPr><w:del/></w:trPr><w:tc>{paragraph(run(word))}</w:tc></w:tr></w:tbl>",
        ]
    )


def field_char(kind: str) -> str:
    return f'<w:r><w:fldChar w:fldCharType="{kind}"/></w:r>'


def nested_field(document: Marked) -> str:
    """The result of a field that another one only looks at is not shown; one whose end is missing is."""
    asks = "<w:r><w:instrText>{}</w:instrText></w:r>"
    inner = field_char("begin") + asks.format("MERGEFIELD a") + field_char("separate")
    inner += run(document.mark("told")) + field_char("end")
    outer = field_char("begin") + asks.format("IF") + inner + asks.format('= "a" "b"') + field_char("separate")
    whole = paragraph(outer, run(document.mark()), field_char("end"), run(document.mark()))
    return whole + paragraph(field_char("begin"), run(document.mark()))


def unseen(document: Marked) -> str:
    hiding = ("<w:vanish/>", '<w:sz w:val="1"/>', '<w:color w:val="FFFFFF"/>')
    return paragraph(run("seen "), run(document.mark("told"), document.chance.choice(hiding)))


def formula(document: Marked) -> str:
    over, under, root = (f"<m:r><m:t>{document.mark()}</m:t></m:r>" for _ in range(3))
    fraction = f"<m:f><m:num>{over}</m:num><m:den>{under}</m:den></m:f>"
    return paragraph(f"<m:oMathPara><m:oMath>{fraction}<m:rad><m:e>{root}</m:e></m:rad></m:oMath></m:oMathPara>")


def drawn(name: str) -> Callable[[Marked], str]:
    def draw(_: Marked) -> str:
        graphic = f'<a:graphic><a:graphicData><c:chart {CHART} r:id="{name}"/></a:graphicData></a:graphic>'
        return paragraph(f"<w:r><w:drawing>{graphic}</w:drawing></w:r>")

    return draw


def newer_chart(_: Marked) -> str:
    """A chart of a newer kind, beside which a word about old programs stands."""
    graphic = '<a:graphic><a:graphicData><cx:chart xmlns:cx="urn:cx" r:id="chartEx1"/></a:graphicData></a:graphic>'
    sorry = (
        f"<w:pict><v:textbox><w:txbxContent>{paragraph(run('not available'))}</w:txbxContent></v:textbox></w:pict>"
    )
    return paragraph(
        f"<w:r><mc:AlternateContent><mc:Choice Requires='cx'><w:drawing>{graphic}</w:drawing></mc:Choice>"
        f"<mc:Fallback>{sorry}</mc:Fallback></mc:AlternateContent></w:r>"
    )


def inserted_page(_: Marked) -> str:
    return '<w:altChunk r:id="aFChunk"/>'


def chart(document: Marked) -> str:
    """A chart: title, axis, series, categories, and labels that somebody wrote."""
    rich = "<c:tx><c:rich><a:p><a:r><a:t>{}</a:t></a:r></a:p></c:rich></c:tx>"
    points = '<c:{0}><c:strRef><c:strCache><c:pt idx="0"><c:v>{1}</c:v></c:pt></c:strCache></c:strRef></c:{0}>'
    label = f'<c:dLbls><c:dLbl><c:idx val="0"/>{rich.format(document.mark())}</c:dLbl></c:dLbls>'
    series = points.format("tx", document.mark()) + label + points.format("cat", document.mark())
    series += points.format("val", document.mark())
    titles = [f"<c:title>{rich.format(document.mark())}</c:title>" for _ in range(2)]
    plot = (
        f"<c:plotArea><c:barChart><c:ser>{series}</c:ser></c:barChart><c:valAx>{titles[1]}</c:valAx></c:plotArea>"
    )
    return f"<c:chartSpace {CHART} {NAMESPACES}><c:chart>{titles[0]}{plot}</c:chart><c:userShapes r:id='chartUserShapes'/></c:chartSpace>"


def chart_shapes(document: Marked) -> str:
    """Text boxes that lie on a chart."""
    text = f"<a:p><a:r><a:t>{document.mark()}</a:t></a:r></a:p>"
    return f"<c:userShapes {CHART} {NAMESPACES}><cdr:sp xmlns:cdr='urn:cdr'><cdr:txBody>{text}</cdr:txBody></cdr:sp></c:userShapes>"


def chart_of_newer_kind(document: Marked) -> str:
    categories = f"<cx:strDim type='cat'><cx:lvl><cx:pt idx='0'>{document.mark()}</cx:pt></cx:lvl></cx:strDim>"
    values = f"<cx:numDim type='val'><cx:lvl><cx:pt idx='0'>{document.mark()}</cx:pt></cx:lvl></cx:numDim>"
    title = f"<cx:title><cx:tx><cx:rich><a:p><a:r><a:t>{document.mark()}</a:t></a:r></a:p></cx:rich></cx:tx></cx:title>"
    series = f"<cx:series><cx:tx><cx:txData><cx:v>{document.mark()}</cx:v></cx:txData></cx:tx></cx:series>"
    return (
        f"<cx:chartSpace xmlns:cx='urn:cx' {NAMESPACES}><cx:chartData><cx:data id='0'>{categories}{values}</cx:data>"
        f"</cx:chartData><cx:chart>{title}<cx:plotArea>{series}</cx:plotArea></cx:chart></cx:chartSpace>"
    )


def chart_parts(document: Marked, folder: str) -> dict[str, str]:
    """The parts that stand behind a chart's."""
    return {
        f"{folder}/_rels/chart1.xml.rels": relationships("chartUserShapes"),
        f"{folder}/chartUserShapes.xml": chart_shapes(document),
    }


def docx(seed: int) -> Marked:
    """A Word document."""
    document = Marked(seed=seed)
    blocks = document.some([wrapped, wrapped, struck_out, nested_field, unseen, formula], 8)
    blocks += [drawn("chart1")(document), newer_chart(document), inserted_page(document)]
    document.chance.shuffle(blocks)
    notes = f'<w:{{0}}s {NAMESPACES}><w:{{0}} w:id="5">{paragraph(run(document.mark()))}</w:{{0}}></w:{{0}}s>'
    blocks.append(paragraph('<w:r><w:footnoteReference w:id="5"/></w:r>'))
    header = f"<w:hdr {NAMESPACES}>{wrapped(document)}</w:hdr>"
    blocks.append('<w:sectPr><w:headerReference w:type="default" r:id="header1"/></w:sectPr>')
    comment = f'<w:comments {NAMESPACES}><w:comment w:id="1" w:author="A">{paragraph(run(document.mark()))}</w:comment></w:comments>'
    document.body = packages.docx(
        "".join(blocks),
        parts={
            "footnotes": notes.format("footnote"),
            "header1": header,
            "comments": comment,
            "chart1": chart(document),
            "chartEx1": chart_of_newer_kind(document),
            "aFChunk": f"<html><body><p>{document.mark()}</p></body></html>",
        },
        members=chart_parts(document, "word"),
    )
    return document


# --- Excel ---


def xlsx(seed: int) -> Marked:
    """A workbook."""
    document = Marked(seed=seed)
    rows = []
    for number in range(1, document.chance.randrange(3, 9)):
        text = f'<c r="B{number}" t="inlineStr"><is><r><t>{document.mark()}</t></r></is></c>'
        said = f'<c r="D{number}" t="str"><f>A1</f><v>{document.mark()}</v></c>'
        rows.append(f'<row r="{number}">{text}{said}</row>')
    body = '<a:p xmlns:a="urn:a"><a:r><a:t>{}</a:t></a:r></a:p>'
    drawing = (
        f"<xdr:wsDr xmlns:xdr='urn:xdr' {NAMESPACES}><xdr:twoCellAnchor><xdr:from><xdr:col>4</xdr:col></xdr:from>"
    )
    drawing += f"<xdr:sp><xdr:txBody>{body.format(document.mark())}</xdr:txBody></xdr:sp></xdr:twoCellAnchor>"
    drawing += f"<xdr:graphicFrame><a:graphicData><c:chart {CHART} r:id='chart1'/></a:graphicData></xdr:graphicFrame></xdr:wsDr>"
    notes = "<comments><commentList>{}</commentList></comments>"
    note = "<comment ref='{}' authorId='{}'><text><t>{}</t></text></comment>"
    listed = note.format("A1", 0, document.mark()) + note.format("B2", 1, "[Threaded comment] see the newer one")
    threads = f"<ThreadedComments><threadedComment ref='B2'><text>{document.mark()}</text></threadedComment></ThreadedComments>"
    button = "<v:shape><v:textbox><div>{}</div></v:textbox><x:ClientData ObjectType='{}'/></v:shape>"
    shapes = button.format(document.mark(), "Button") + button.format("a note's shape", "Note")
    printed = f"<headerFooter differentFirst='1' differentOddEven='1'><oddHeader>&amp;L{document.mark()}&amp;P</oddHeader>"
    printed += f"<evenFooter>&amp;C{document.mark()}</evenFooter><firstHeader>&amp;R&amp;B{document.mark()}</firstHeader></headerFooter>"
    hidden = f"<worksheet><sheetData><row><c t='inlineStr'><is><t>{document.mark('told')}</t></is></c></row></sheetData></worksheet>"
    kinds = ("drawing1", "comments1", "threadedComment1", "vmlDrawing1")
    document.body = packages.xlsx(
        "".join(rows),
        after=printed,
        hidden=hidden,
        members={
            "xl/_rels/worksheet1.xml.rels": relationships(*kinds),
            "xl/drawing1.xml": drawing,
            "xl/_rels/drawing1.xml.rels": relationships("chart1"),
            "xl/chart1.xml": chart(document),
            "xl/comments1.xml": notes.format(listed),
            "xl/threadedComment1.xml": threads,
            "xl/vmlDrawing1.xml": f"<xml xmlns:v='urn:v' xmlns:x='urn:x'>{shapes}</xml>",
            **chart_parts(document, "xl"),
        },
    )
    return document


# --- PowerPoint ---


def shape(text: str, *, properties: str = "", placeholder: str = "") -> str:
    body = f"<p:txBody><a:p><a:r><a:t>{text}</a:t></a:r></a:p></p:txBody>"
    return f"<p:sp><p:nvSpPr><p:cNvPr {properties}/><p:nvPr>{placeholder}</p:nvPr></p:nvSpPr>{body}</p:sp>"


def framed(inner: str) -> str:
    return f"<p:graphicFrame><a:graphic><a:graphicData>{inner}</a:graphicData></a:graphic></p:graphicFrame>"


def slide_table(document: Marked) -> str:
    cell = "<a:tc {}><p:txBody><a:p><a:r><a:t>{}</a:t></a:r></a:p></p:txBody></a:tc>"
    cells = cell.format('gridSpan="2"', document.mark()) + cell.format('hMerge="1"', document.mark("told"))
    return framed(f"<a:tbl><a:tr>{cells}</a:tr></a:tbl>")


def pptx(seed: int) -> Marked:
    """A presentation."""
    document = Marked(seed=seed)
    makers: list[Callable[[Marked], str]] = [
        lambda made: shape(made.mark()),
        lambda made: f"<p:grpSp>{shape(made.mark())}</p:grpSp>",
        lambda made: shape(made.mark("told"), properties='hidden="1"'),
        slide_table,
        lambda made: (
            f"<mc:AlternateContent><mc:Choice>{shape(made.mark())}</mc:Choice><mc:Fallback/></mc:AlternateContent>"
        ),
    ]
    slides = ["".join(document.some(makers, 6)) for _ in range(2)]
    slides[0] += framed(f"<c:chart {CHART} r:id='chart1'/>") + framed(
        "<dgm:relIds xmlns:dgm='urn:dgm' r:dm='diagramData1'/>"
    )
    tree = "<p:{0} {1}><p:cSld><p:spTree>{2}</p:spTree></p:cSld></p:{0}>"
    prompt = shape("Click to edit", placeholder='<p:ph type="title"/>')
    notes = shape(document.mark(), placeholder='<p:ph type="body"/>')
    point = f"<dgm:pt><dgm:t><a:p><a:r><a:t>{document.mark()}</a:t></a:r></a:p></dgm:t></dgm:pt>"
    comments = f"<p188:cmLst xmlns:p188='urn:p188' {NAMESPACES}><p188:cm><p188:txBody><a:p><a:r><a:t>{document.mark()}</a:t></a:r></a:p></p188:txBody></p188:cm></p188:cmLst>"
    document.body = packages.pptx(
        *slides,
        members={
            "ppt/_rels/slide0.xml.rels": relationships(
                "slideLayout1", "notesSlide1", "chart1", "diagramData1", "comments1"
            ),
            "ppt/_rels/slide1.xml.rels": relationships("slideLayout1"),
            "ppt/slideLayout1.xml": tree.format("sldLayout", NAMESPACES, prompt + shape(document.mark())),
            "ppt/_rels/slideLayout1.xml.rels": relationships("slideMaster1"),
            "ppt/slideMaster1.xml": tree.format("sldMaster", NAMESPACES, prompt + shape(document.mark())),
            "ppt/notesSlide1.xml": tree.format("notes", NAMESPACES, notes),
            "ppt/chart1.xml": chart(document),
            "ppt/diagramData1.xml": f"<dgm:dataModel xmlns:dgm='urn:dgm' xmlns:a='{DRAWING}'><dgm:ptLst>{point}</dgm:ptLst></dgm:dataModel>",
            "ppt/comments1.xml": comments,
            **chart_parts(document, "ppt"),
        },
    )
    return document


# --- OpenDocument ---


def odt_block(document: Marked) -> str:
    made = f"<text:p>{document.chance.choice(ODT_INLINE).format(document.mark())}</text:p>"
    for _ in range(document.chance.randrange(3)):
        made = document.chance.choice(ODT_AROUND).format(made)
    return made


ODT_INLINE = (
    "{}",
    "<text:span>{}</text:span>",
    "<text:a>{}</text:a>",
    "a <text:ruby><text:ruby-base>b</text:ruby-base><text:ruby-text>{}</text:ruby-text></text:ruby>",
    "<text:bookmark-ref>{}</text:bookmark-ref>",
    "<text:note><text:note-citation>1</text:note-citation><text:note-body><text:p>{}</text:p></text:note-body></text:note>",
    "<office:annotation><text:p>{}</text:p></office:annotation>",
    "<draw:frame><draw:text-box><text:p>{}</text:p></draw:text-box></draw:frame>",
    "<draw:custom-shape><text:p>{}</text:p></draw:custom-shape>",
    "<text:meta>{}</text:meta>",
)
ODT_AROUND = (
    "<text:section>{}</text:section>",
    "<text:list><text:list-item>{}</text:list-item></text:list>",
    "<table:table><table:table-row><table:table-cell>{}</table:table-cell></table:table-row></table:table>",
    "<text:index-body>{}</text:index-body>",
)


def odt(seed: int) -> Marked:
    """An OpenDocument text."""
    document = Marked(seed=seed)
    blocks = document.some([odt_block], 9)
    hidden = document.mark("told"), document.mark("told"), document.mark("told")
    blocks += [
        f"<text:section text:display='none'><text:p>{hidden[0]}</text:p></text:section>",
        f"<text:p><text:span text:style-name='hides'>{hidden[1]}</text:span></text:p>",
        f"<text:p text:style-name='child'>{hidden[2]}</text:p>",
        f"<text:tracked-changes><text:deletion><text:p>{document.mark('struck')}</text:p></text:deletion></text:tracked-changes>",
        f"<text:p><draw:frame><svg:desc xmlns:svg='urn:svg'>{document.mark('struck')}</svg:desc></draw:frame></text:p>",
        "<text:p><draw:frame><draw:object xmlns:xlink='urn:xlink' xlink:href='./Object 1'/></draw:frame></text:p>",
        "<text:p><draw:frame><draw:object xmlns:xlink='urn:xlink' xlink:href='./Object 2'/></draw:frame></text:p>",
        "<text:p>x <draw:control draw:control='c1'/></text:p>",
        f"<office:forms><form:form xmlns:form='urn:form'><form:text form:id='c1' form:current-value='{document.mark()}'/></form:form></office:forms>",
    ]
    document.chance.shuffle(blocks)
    furniture = f"<style:header><text:p>{document.mark()}</text:p></style:header><style:footer><text:p>{document.mark()}</text:p></style:footer>"
    styles = "<style:style style:name='hides'><style:text-properties text:display='none'/></style:style>"
    styles += "<style:style style:name='child' style:parent-style-name='hides'/>"
    graph = f"<chart:chart xmlns:chart='urn:chart'><chart:title><text:p>{document.mark()}</text:p></chart:title>"
    graph += f"<table:table><table:table-rows><table:table-row><table:table-cell><text:p>{document.mark()}</text:p></table:table-cell></table:table-row></table:table-rows></table:table></chart:chart>"
    sum_of = f"<math><semantics><mrow><mi>{document.mark()}</mi></mrow><annotation>{document.mark('struck')}</annotation></semantics></math>"
    document.body = packages.odt(
        "".join(blocks),
        styles=f"<office:styles>{styles}</office:styles><office:master-styles>{furniture}</office:master-styles>",
        members={
            "Object 1/content.xml": f"<office:document-content {packages.OPEN_DOCUMENT}><office:body>{graph}</office:body></office:document-content>",
            "Object 2/content.xml": sum_of,
        },
    )
    return document


# --- mails ---


def mail(seed: int) -> Marked:
    """A mail with parts within parts."""
    document = Marked(seed=seed)
    message = EmailMessage(policy=policy.default)
    message["From"], message["To"] = "a@example.com", f"{document.mark()}@example.com"
    message["Cc"], message["Bcc"] = f"{document.mark()}@example.com", f"{document.mark()}@example.com"
    message["Subject"] = f"Order {document.mark()}"
    message.set_content(f"See {document.mark()}")
    if document.chance.random() < 0.6:
        message.add_alternative(f"<p>See <b>{document.mark()}</b></p><style>p {{}}</style>", subtype="html")
    for maker in document.chance.sample(MAIL_PARTS, k=document.chance.randrange(2, len(MAIL_PARTS))):
        maker(document, message)
    document.body = message.as_bytes()
    return document


def with_invitation(document: Marked, message: EmailMessage) -> None:
    message.add_attachment(f"BEGIN:VEVENT\r\nLOCATION:{document.mark()}\r\nEND:VEVENT\r\n", subtype="calendar")


def with_list(document: Marked, message: EmailMessage) -> None:
    message.add_attachment(f"item,{document.mark()}\n", subtype="csv", filename="list.csv")


def with_letter(document: Marked, message: EmailMessage) -> None:
    inner = EmailMessage(policy=policy.default)
    inner["From"], inner["Subject"] = "b@example.com", document.mark()
    inner.set_content(document.mark(), cte=document.chance.choice(["7bit", "base64", "quoted-printable"]))
    message.add_attachment(inner)


def with_report(document: Marked, message: EmailMessage) -> None:
    """What a mail server says of a mail that it could not deliver."""
    kind = document.chance.choice(["delivery-status", "disposition-notification", "feedback-report"])
    said = f"Reporting-MTA: dns; a\n\nFinal-Recipient: rfc822; b\nDiagnostic-Code: smtp; {document.mark()}\n"
    report = email.message_from_string(f"Content-Type: message/{kind}\n\n{said}", policy=policy.default)
    if message.get_content_type() != "multipart/mixed":
        message.make_mixed()
    message.attach(report)


def with_word_file(document: Marked, message: EmailMessage) -> None:
    body = packages.docx(paragraph(run(document.mark())))
    message.add_attachment(body, maintype="application", subtype="octet-stream", filename="a.docx")


def with_rich_text(document: Marked, message: EmailMessage) -> None:
    message.add_attachment(rf"{{\rtf1 {document.mark()}}}".encode(), maintype="text", subtype="rtf")


def with_mobile_page(document: Marked, message: EmailMessage) -> None:
    message.add_attachment(f"<html amp4email><body><p>{document.mark()}</p></body></html>", subtype="x-amp-html")


MAIL_PARTS: Sequence[Callable[[Marked, EmailMessage], None]] = (
    *(with_invitation, with_list, with_letter, with_report, with_word_file, with_rich_text, with_mobile_page),
)


# --- PDF ---


def pdf(seed: int) -> Marked:
    """A PDF whose words are drawn, typed, filled in and noted."""
    document = Marked(seed=seed)
    file = packages.PdfFile()
    for _ in range(document.chance.randrange(1, 4)):
        page = [
            drawing(document, 700 - 30 * line)
            for line, drawing in enumerate(document.chance.choices(DRAWINGS, k=8))
        ]
        notes = [note(document, 40 * place) for place, note in enumerate(document.chance.sample(NOTES, k=6))]
        file.add_page("\n".join(page), annotations=notes, form=document.mark())
    document.body = file.bytes()
    return document


def shown_at(text: str, y: int, before: str = "") -> str:
    return f"q {before} BT /F1 12 Tf 50 {y} Td ({text}) Tj ET Q"


DRAWINGS: Sequence[Callable[[Marked, int], str]] = (
    lambda made, y: shown_at(made.mark(), y),
    lambda made, y: shown_at(made.mark(), y, "0.4 g"),
    lambda made, y: shown_at(made.mark("told"), y, "1 g"),
    lambda made, y: shown_at(made.mark("told"), y, "3 Tr"),
    lambda made, y: f"BT /F1 1 Tf 12 0 0 12 200 {y} Tm [({made.mark()})] TJ ET",
    lambda made, y: f"BT /F1 12 Tf -900 {y} Td ({made.mark('told')}) Tj ET",
    lambda made, y: f"/P <</MCID 0>> BDC {shown_at(made.mark(), y)} EMC",
)


def note_of(kind: str, y: int, more: str) -> str:
    return f"<</Type /Annot /Subtype /{kind} /Rect [350 {y + 10} 550 {y + 40}] {more}>>"


NOTES: Sequence[Callable[[Marked, int], str]] = (
    lambda made, y: note_of("Text", y, f"/Contents ({made.mark()})"),
    lambda made, y: note_of(
        "Highlight", y, f"/Contents ({made.mark()}) /QuadPoints [300 340 500 340 300 300 500 300]"
    ),
    lambda made, y: note_of("FreeText", y, f"/Contents ({made.mark()}) /DA (/F1 12 Tf)"),
    lambda made, y: note_of("FreeText", y, f"/RC (<body><p>{made.mark()}</p></body>) /DA (/F1 12 Tf)"),
    lambda made, y: note_of("Text", y, f"/F 2 /Contents ({made.mark('told')})"),
    lambda made, y: note_of("FileAttachment", y, f"/Contents ({made.mark()})"),
    lambda made, y: note_of("Widget", y, f"/FT /Tx /T ({made.name()}) /V ({made.mark()}) /DA (/F1 12 Tf)"),
    lambda made, y: note_of(
        "Widget",
        y,
        f"/FT /Ch /Ff 131072 /T ({made.name()}) /Opt [(other) ({made.mark()})] /V ({made.having('seen')[-1]})",
    ),
    lambda made, y: note_of("Stamp", y, f"/Contents ({made.mark()})"),
    lambda made, y: note_of("Caret", y, f"/Contents ({made.mark()})"),
)

MAKERS: Mapping[str, Callable[[int], Marked]] = {
    "docx": docx,
    "xlsx": xlsx,
    "pptx": pptx,
    "odt": odt,
    "eml": mail,
    "pdf": pdf,
}
"""By the ending of their names."""
