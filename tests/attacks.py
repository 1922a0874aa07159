"""Documents that repeat one thing, so that a reader which is slower than linear shows it.

``python -m tests.attacks`` prints what each costs at 50 and at 200 KB.
"""

from __future__ import annotations

import argparse
import io
import json
import signal
import struct
import subprocess
import sys
import time
import unicodedata
import zipfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.documents import SAMPLES

__all__ = ["ATTACKS", "Cost", "costs"]

SMALL, LARGE = 50_000, 200_000
"""Bytes of what is repeated."""
LIMIT_S = 8.0
"""Of processor time, for one document."""


@dataclass(frozen=True, kw_only=True)
class Cost:
    """Processor seconds of a small and of a large document; None where it took longer than the limit."""

    name: str
    small_s: float | None
    large_s: float | None
    end: str = ""
    """Of the large one: what it was read as, or why it was not."""

    @property
    def is_linear(self) -> bool:
        """Within what measuring allows: four times the text is four times the work, and never much work."""
        if self.small_s is None or self.large_s is None:
            return False
        return self.large_s < 0.4 or self.large_s < 8 * self.small_s


Made = tuple[str, bytes, str | None]
"""A document's name, its bytes, and its declared media type."""


def repeated(part: str | bytes, size: int) -> bytes:
    body = part.encode("utf-8", errors="surrogatepass") if isinstance(part, str) else part
    return body * max(1, size // len(body))


def text(part: str | bytes, name: str = "a.txt", media_type: str | None = None) -> Callable[[int], Made]:
    return lambda size: (name, repeated(part, size), media_type)


def around(before: str, part: str, after: str, name: str) -> Callable[[int], Made]:
    return lambda size: (name, before.encode() + repeated(part, size) + after.encode(), None)


def of_each_category() -> Iterator[tuple[str, str]]:
    """The first characters of each of Unicode's categories."""
    found: dict[str, str] = {}
    for code in range(0x110000):
        category = unicodedata.category(chr(code))
        if category != "Cs" and len(found.setdefault(category, "")) < 3:
            found[category] += chr(code)
    yield from found.items()


def parts(written: str) -> list[str]:
    """What is written between bars."""
    return written.split("¦")


def texts() -> Iterator[tuple[str, Callable[[int], Made]]]:
    for category, chars in of_each_category():
        yield f"text {category}", text(chars[:1])
        yield f"text {category} mixed", text(f"a{chars}1 ")
    for part in parts(
        "\u200d¦\u200c\u200d¦a\u200d¦\r¦\r\n¦\n¦\n \n¦\t¦ ¦\f¦\ufeff¦e\u0301¦&amp;¦\\u00e4¦+AAA-¦~{"
    ):
        yield f"text {part!r}", text(part)
    for odd in (
        b"\xff|\xc3|\xe2\x82|a\xe4|\xc3\xa4\xe4|\x80\x81|\x00|a\x00|\x00a|\x1b$B|\xa4\xa2|\x82\xa0|\xcf\xf0".split(
            b"|"
        )
    ):
        yield f"text {odd!r}", text(odd)
    for charset in parts("utf-7¦hz¦iso-2022-jp¦iso-2022-kr¦big5hkscs¦gb18030¦euc_jisx0213¦cp037"):
        yield f"text in {charset}", text(b"+A\x1b$B~{\xa4a", media_type=f"text/plain; charset={charset}")
    for part in parts("<!---->¦<!--¦<!-- --> ¦<?xml ?>¦<html¦Date: a\n¦Received: a\n b\n¦: ¦%PDF-"):
        yield f"sniffed {part!r}", text(part, name="")


def pages() -> Iterator[tuple[str, Callable[[int], Made]]]:
    for tag in parts("p¦div¦span¦a¦b¦table¦tr¦td¦ul¦li¦pre¦br¦h1¦style¦form¦select"):
        yield f"html <{tag}>", around("<html><body>", f"<{tag}>", "", "a.html")
        yield f"html <{tag}>x</{tag}>", around("<html><body>", f"<{tag}>x</{tag}>", "", "a.html")
        yield (
            f"html <{tag}> nested",
            around("<html><body>", f"<{tag}>" * 100 + "x" + f"</{tag}>" * 100, "", "a.html"),
        )
    for part in parts(
        "<¦>¦&¦&#¦&#1114112;¦&nbsp;¦</p>¦<!--¦<!---->¦<![CDATA[¦<?a?>¦<a ¦<a b=¦<td>1</td>¦<tr><td>1¦<table><tr><td>x</table>"
        "¦<li>x¦<img alt=x>¦\u200d¦\u00ad¦\xa0 ¦a<br>¦<p hidden>x¦<p style='display:none'>x</p>¦<p style='font-size:0'>x</p>"
        "¦<style>.a{}</style>¦<p class=a>x</p>¦<i><b>¦</i></b>¦<title>x</title>¦<svg><title>¦<textarea>¦<script>"
        "¦<p style='display:                '>¦<td colspan=1000>¦<td rowspan=1000>¦<ol start=99999999><li>x"
    ):
        yield f"html {part!r}", around("<html><body>", part, "", "a.html")
    yield (
        "html nested tables",
        around("<html><body>", "<table><tr><td>" * 100 + "x" + "</table>" * 100, "", "a.html"),
    )
    for part in parts("a ¦style=a:b;¦class=a ¦x=1 ¦style='¦/¦="):
        yield f"html attribute {part!r}", around("<html><body><p ", part, ">text", "a.html")
    for part in parts(";¦:¦display:¦ ¦a:b;¦/*¦\\¦display: none;¦font-size:0;"):
        yield f"html style {part!r}", around("<html><body><p style='", part, "'>text", "a.html")
    for part in parts(".a{}¦.a,¦.a ¦{¦}¦/*¦/**/¦@media{¦.a{display:none}¦#a .b>c{color:red}¦\\"):
        yield f"html sheet {part!r}", around("<html><head><style>", part, "</style></head><p class=a>x", "a.html")


def mails() -> Iterator[tuple[str, Callable[[int], Made]]]:
    mime = "MIME-Version: 1.0\n"
    for head in parts("Subject¦From¦To¦Date¦Content-Type¦Content-Disposition¦Message-ID¦Received"):
        for part in parts(
            '=?utf-8?q?a?= ¦=?¦=?a?q?¦=?utf-8?b?YQ==?=¦a@b,¦<a@b>,¦"a" <a@b>,¦(¦()¦"¦\\¦<¦@¦.¦;¦a=b;¦a*0*=utf-8\'\'a;¦; name=a¦,'
            "¦ ¦\n ¦\n\t¦\u00e4¦a.¦[¦a:b;¦:;¦\u200d"
        ):
            yield f"mail {head}: {part!r}", around(f"{mime}{head}: a", part, "\n\nbody\n", "a.eml")
    multipart = f'{mime}Content-Type: multipart/mixed; boundary="x"\n\n'
    for part in parts(
        "--x\n¦--x\n\nbody\n¦--x--\n¦--¦--y\n¦--x \n¦\n¦X: y\n¦--x\nContent-Type: text/html\n\n<p>"
        "¦--x\nContent-Type: message/rfc822\n\n¦--x\nContent-Type: multipart/mixed; boundary=x\n\n"
        "¦--x\nContent-Transfer-Encoding: base64\n\nYQ==\n¦--x\nContent-Type: text/calendar\n\nBEGIN:VEVENT\n"
        "¦--x\nContent-Disposition: attachment; filename=a.txt\n\na\n"
    ):
        yield f"mail part {part!r}", around(multipart, part, "", "a.eml")
        yield f"mail wording {part!r}", around(multipart.replace("mixed", "alternative"), part, "", "a.eml")
    yield (
        "mail wordings that differ",
        lambda size: ("a.eml", wordings(multipart.replace("mixed", "alternative"), size), None),
    )
    for encoding, written in {
        "quoted-printable": "=¦=3D¦=\n¦=ZZ¦\u00e4¦>From ¦.",
        "base64": "Y¦YQ==¦=¦\n¦-",
        "x-uuencode": "begin 644 a\n¦M0123456789ABCDEF\n¦`\n",
    }.items():
        for part in parts(written):
            head = f"{mime}Content-Transfer-Encoding: {encoding}\n\nbegin 644 a\n"
            yield f"mail {encoding} {part!r}", around(head, part, "\nend\n", "a.eml")
    for part in parts("X¦X: y\n¦X:\n y\n¦ a\n¦\n¦:¦From a\n"):
        yield f"mail head {part!r}", around("From: a@b\n", part, "\n\nbody", "a.eml")


def wordings(head: str, size: int) -> bytes:
    return head.encode() + b"".join(b"--x\n\nword%d\n" % number for number in range(size // 15))


def rich_texts() -> Iterator[tuple[str, Callable[[int], Made]]]:
    for part in parts(
        "{¦}¦{}¦\\¦\\par ¦\\'e4¦\\u8364?¦{\\*\\a}¦\\bin1 a¦a¦\n¦\\uc9¦\\uc0\\u55357 ¦{\\fonttbl¦{\\f1\\fcharset128 a;}¦\\f1¦\\'81"
        "¦\\cell¦\\row¦{\\footnote a}¦{\\header a}¦{\\pict 00¦{\\field{\\*\\fldinst a}{\\fldrslt b}}¦\\v a¦\\-"
        "¦{\\shp{\\*\\shpinst{\\shptxt a}}}¦" + "{" * 100 + "a" + "}" * 100
    ):
        yield f"rtf {part[:60]!r}", around("{\\rtf1\\ansi ", part, "", "a.rtf")


def of_archives() -> Iterator[tuple[str, Callable[[int], Made]]]:
    """Parts of the sample documents, with something repeated within an element of theirs."""
    places = {
        "a.docx": ("word/document.xml", "<w:body>"),
        "a.xlsx": ("xl/worksheets/sheet1.xml", "<sheetData>"),
        "a.pptx": ("ppt/slides/slide1.xml", "</p:nvGrpSpPr>"),
        "a.odt": ("content.xml", "<office:text>"),
    }
    for name, written in REPEATED.items():
        for part in parts(written):
            yield f"{name} {part[:60]!r}", inside(name, *places[name], part)
        deep = f"<{NESTED[name]}>" * 60 + f"</{NESTED[name]}>" * 60
        yield f"{name} nested {NESTED[name]}", inside(name, *places[name], deep)
        yield f"{name} with much behind it", much_behind(name)
    merged = "<mergeCells><mergeCell ref='A1:XFD1048576'/></mergeCells>"
    yield "a.xlsx merged", inside("a.xlsx", "xl/worksheets/sheet1.xml", "</sheetData>", merged)
    yield "zip of many members", many_members


REPEATED = {
    "a.docx": (
        "<w:p/>¦<w:p><w:r><w:t>a</w:t></w:r></w:p>¦<w:p>¦<w:tbl>¦<w:tbl><w:tr><w:tc><w:p/></w:tc></w:tr></w:tbl>"
        "¦<w:p><w:r><w:tab/></w:r></w:p>¦<!---->¦&#65;¦<?a?>¦a¦<w:p><w:r><w:fldChar w:fldCharType='begin'/></w:r></w:p>"
        "¦<w:p><w:pPr><w:numPr><w:ilvl w:val='1'/><w:numId w:val='1'/></w:numPr></w:pPr></w:p>"
        "¦<w:tbl><w:tr><w:tc><w:tcPr><w:gridSpan w:val='9999999'/></w:tcPr><w:p/></w:tc></w:tr></w:tbl>"
        "¦<w:p><w:hyperlink><w:r><w:t>a</w:t></w:r></w:hyperlink></w:p>¦<w:p><w:r><w:footnoteReference w:id='1'/></w:r></w:p>"
    ),
    "a.xlsx": (
        "<row/>¦<row><c t='inlineStr'><is><t>a</t></is></c></row>¦<row><c r='XFD1048576'><v>1</v></c></row>¦<row>¦<!---->"
        "¦<row r='1048576'><c><v>1</v></c></row>¦<row><c t='s'><v>0</v></c></row>¦<row><c><f>A1</f></c></row>"
        "¦<row><c s='0'><v>45000</v></c></row>¦<row><c><v>1e308</v></c></row>"
    ),
    "a.pptx": "<p:sp/>¦<p:grpSp>¦<p:sp><p:txBody><a:p><a:r><a:t>a</a:t></a:r></a:p></p:txBody></p:sp>¦<p:pic/>",
    "a.odt": (
        "<text:p>a</text:p>¦<text:p>¦<text:s text:c='999999999'/>¦<text:p><text:s text:c='999999999'/></text:p>"
        "¦<text:p><text:tab/></text:p>¦<table:table><table:table-row table:number-rows-repeated='99999999'>"
        "<table:table-cell/></table:table-row></table:table>¦<table:table><table:table-row><table:table-cell "
        "table:number-columns-repeated='99999999'><text:p>a</text:p></table:table-cell></table:table-row></table:table>"
    ),
}
NESTED = {"a.docx": "w:ins", "a.xlsx": "row", "a.pptx": "p:grpSp", "a.odt": "text:section"}


def much_behind(name: str) -> Callable[[int], Made]:
    return lambda size: (name, SAMPLES[name] + b"PK" * (size // 2), None)


def inside(name: str, member: str, after: str, part: str) -> Callable[[int], Made]:
    def make(size: int) -> Made:
        made = io.BytesIO()
        with (
            zipfile.ZipFile(io.BytesIO(SAMPLES[name])) as given,
            zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as put,
        ):
            for each in given.namelist():
                content = given.read(each)
                if each == member:
                    head, found, tail = content.partition(after.encode())
                    assert found, (name, member)
                    content = head + found + repeated(part, size) + tail
                put.writestr(each, content)
        return name, made.getvalue(), None

    return make


def many_members(size: int) -> Made:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as put:
        for number in range(size // 100):
            put.writestr(f"word/{number}.xml", b"<a/>")
    return "a.docx", made.getvalue(), None


def pdfs() -> Iterator[tuple[str, Callable[[int], Made]]]:
    for part in parts(
        "[¦<<¦(¦<¦/A ¦1 0 R ¦obj ¦stream\n¦stream\nx\x9c¦endobj\n¦%\n¦%%EOF\n¦trailer ¦1 0 obj <</Type /Page>> endobj\n"
        "¦2 0 obj << >> stream\n\nendstream endobj\n¦xref\n0 1\n¦startxref\n0\n"
    ):
        yield f"pdf {part!r}", around("%PDF-1.4\n1 0 obj ", part, "\ntrailer <</Root 1 0 R>>\n%%EOF", "a.pdf")
        yield f"pdf behind a page {part!r}", behind_page(part)
    for part in parts(
        "q ¦Q ¦(a) Tj ¦BT ¦ET ¦[(a)-9 (b)] TJ ¦1 0 0 1 1 1 cm ¦0 0 9 9 re f ¦/X0 Do ¦T* (a) Tj ¦(¦[¦<¦1 ¦9 9 Td (word) Tj "
        "¦0 -1 Td (row 1) Tj 99 0 Td (2) Tj -99 0 Td ¦BI ¦/F1 1 Tf ¦BT /F1 9 Tf 1 0 0 1 50 700 Tm (over) Tj ET "
        "¦100 0 Td (c) Tj ¦0 0 m 9 9 l S ¦0 -.01 Td (a) Tj ¦.01 0 Td (a) Tj ¦0 0 600 800 re S ¦0 -9 Td (a b c) Tj "
    ):
        yield f"pdf page {part!r}", pdf_page(part)
    for part in ("<</Type /Annot /Subtype /FreeText /Rect [0 0 9 9] /Contents (a)>> ", "10 0 R ", "null "):
        yield f"pdf annotation {part[:40]!r}", pdf_annotations(part)


def behind_page(part: str) -> Callable[[int], Made]:
    return lambda size: (
        "a.pdf",
        pdf_of(b"BT ET", b"").replace(b"trailer", repeated(part, size) + b"\ntrailer"),
        None,
    )


def pdf_page(part: str) -> Callable[[int], Made]:
    return lambda size: ("a.pdf", pdf_of(b"BT /F1 12 Tf 50 700 Td " + repeated(part, size), b""), None)


def pdf_annotations(part: str) -> Callable[[int], Made]:
    return lambda size: ("a.pdf", pdf_of(b"BT ET", b"/Annots [" + repeated(part, size) + b"]"), None)


def pdf_of(content: bytes, page: bytes) -> bytes:
    return b"\n".join(
        (
            b"%PDF-1.4",
            b"1 0 obj <</Type /Catalog /Pages 2 0 R>> endobj",
            b"2 0 obj <</Type /Pages /Count 1 /Kids [10 0 R]>> endobj",
            b"3 0 obj <</Type /Font /Subtype /Type1 /BaseFont /Helvetica>> endobj",
            b"10 0 obj <</Type /Page /Parent 2 0 R /MediaBox [0 0 600 800]",
            b"/Contents 11 0 R /Resources <</Font <</F1 3 0 R>>>> " + page + b">> endobj",
            b"11 0 obj <</Length %d>> stream\n%b\nendstream endobj" % (len(content), content),
            b"trailer <</Root 1 0 R>>",
            b"%%EOF",
        )
    )


def xmls() -> Iterator[tuple[str, Callable[[int], Made]]]:
    for part in parts(
        "<a>¦<a/>¦<a>b</a>¦a¦&#65;¦<!---->¦<?a?>¦<![CDATA[a]]>¦<a b='c'/>¦<a xmlns:b='c'>¦"
        + "<a>" * 90
        + "</a>" * 90
    ):
        yield f"xml {part[:40]!r}", around("<?xml version='1.0'?><r>", part, "</r>", "a.xml")
    for part in parts('[¦{¦"¦1,¦"a":1,¦\\u0041¦{"a":'):
        yield f"json {part!r}", text(part, name="a.json")


def _attacks() -> dict[str, Callable[[int], Made]]:
    kinds = (texts, pages, mails, rich_texts, of_archives, pdfs, xmls)
    return {name: make for kind in kinds for name, make in kind()}


ATTACKS = _attacks()

CHILD = """
import json, signal, struct, sys, time
from docmill.errors import Unreadable
from docmill.reading.formats import preload, read_document
from docmill.reading.values import Limits
preload()
stdin, limit = sys.stdin.buffer, float(sys.argv[1])
while head := stdin.read(8):
    header, body = (stdin.read(length) for length in struct.unpack(">II", head))
    name, media_type = json.loads(header)
    signal.setitimer(signal.ITIMER_VIRTUAL, limit)
    started = time.process_time()
    try:
        ended = read_document(body, name=name, media_type=media_type, limits=Limits()).media_type
    except Unreadable as error:
        ended = error.kind
    except (MemoryError, RecursionError) as error:
        ended = type(error).__name__
    took = time.process_time() - started
    signal.setitimer(signal.ITIMER_VIRTUAL, 0)
    print(json.dumps([took, ended]), flush=True)
"""


class Measuring:
    """A process that reads one document after another, and ends at one that takes longer than the limit."""

    def __init__(self) -> None:
        self._process = self._start()

    def read(self, made: Made) -> tuple[float | None, str]:
        """Seconds, which are None beyond the limit, and how it ended. Raises RuntimeError where the reader broke."""
        name, body, media_type = made
        header = json.dumps([name, media_type]).encode()
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(struct.pack(">II", len(header), len(body)) + header + body)
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if line:
            seconds, end = json.loads(line)
            return float(seconds), str(end)
        self.close()
        code = self._process.returncode
        self._process = self._start()
        if code == -signal.SIGVTALRM:
            return None, ""
        raise RuntimeError(f"the reader broke with exit code {code}")

    def close(self) -> None:
        self._process.kill()
        with suppress(BrokenPipeError):  # it ended with a document half sent
            self._process.communicate()

    def _start(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-c", CHILD, str(LIMIT_S)]
        return subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=Path(__file__).parents[1]
        )


def costs(names: list[str]) -> Iterator[Cost]:
    """What the attacks of these names cost."""
    measuring = Measuring()
    try:
        for name in names:
            make = ATTACKS[name]
            try:
                small, _ = measuring.read(make(SMALL))
                large, end = (None, "") if small is None else measuring.read(make(LARGE))
            except RuntimeError as error:
                yield Cost(name=name, small_s=None, large_s=None, end=str(error))
            else:
                yield Cost(name=name, small_s=small, large_s=large, end=end)
    finally:
        measuring.close()


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("-k", dest="only", default="", help="only those whose name holds this")
    options.add_argument("--all", action="store_true", help="those that are linear, too")
    arguments: Any = options.parse_args()
    names = [name for name in ATTACKS if arguments.only in name]
    started = time.monotonic()
    for cost in costs(names):
        if arguments.all or not cost.is_linear:
            print(f"{cost.name:70} {_told(cost.small_s)} {_told(cost.large_s)} {cost.end}", flush=True)  # noqa: T201
    print(f"{len(names)} in {time.monotonic() - started:.0f} s")  # noqa: T201


def _told(seconds: float | None) -> str:
    return f"> {LIMIT_S:5.1f} s" if seconds is None else f"{seconds:7.3f} s"


if __name__ == "__main__":
    main()
