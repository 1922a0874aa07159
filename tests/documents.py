"""A small document of each format that is read, made on the spot."""

from __future__ import annotations

import base64
import io
import struct
import zlib
from collections.abc import Callable
from email.message import EmailMessage
from pathlib import Path

from docx import Document
from openpyxl import Workbook
from PIL import Image
from pptx import Presentation

from docmill.reading.media import ODS
from tests import packages

__all__ = ["SAMPLES", "WORDS", "XLS", "ods", "pdf", "winmail"]

WORDS = "Invoice 4711, total 12.50 EUR"
REPORTED = Path(__file__).parents[2] / "shared/data/7_reported"


XLS = zlib.decompress(base64.b85decode(
        "c-rk)O=uHQ5dPj~)1;w4No|EzEK9+vH5H>4y|nSCwe*k>i{cN0ChdZyHIYpe^q|$6qab)vycFueOVx`%sGv6wLW>>*K}Zx&o&*IC"
        "ZPs~{U2SWH1~d@aZ+Wxx=FPmnnfJ3hI}^xF-fzic33}i{!K_Br0-2yxZD;(Ta?_No{q|Ba9aI#mz2wL$H=fkK@<<;_f9Ij#p8A3)"
        "@PX1XoJKU2)U`5V5BDK1WFNYPO0lQl7Nt5gbH5sx4l!ND^e*c@Wx9(cSDAK`ZcZG<OgP%H(~9H6N*kBe5fymIHt$#xLK9xfIKFsI"
        "6m{L$ZH&anDy*PYt-%z?rTuzRH)OsZx8Vbh5IQ4~&feY}8p+*L_-1OrS9@JQ*Bp6y<pL!CzF6-0gWO9_Tq?h=sK7YP6G8@amV$af"
        "EiUDlF*2m5v#3Q^RWUZAsf?bULxfmxBF$+0luqn{R3<(~0kZdGe8li2#?I(#fq~@N6xE?^-w_H0wTx8JLR&X?ZPEG;4pN<IeaO%="
        "K6x<kM&e(zk<{|?sv$azdgcSX$ow>pxjSE8M-s8{ah8np;ZZzd*2(d}#3gA##&ul6L!v_o=wORYOfPe-YnX3g+DOBqcYCbKV)jk2"
        "&J`|gr*^h6-h|gL;5QJT{k;ECYxZM!Bk|My`SXp_Z^M&lqa$ya?Bz3opa_baHzXd1?YFQtqxVdkf7_V6ir?zHX`Q3>n3qeD5MWx&"
        "DU=hIzF0<Iu)eJEg5u*1F#y*m!TQP)eYfIenXK^{_fO7!18<xyvkK*<m5XP5aVsvilC(!@zynzcZKuCb4quC(v{HR7mi4u2&nlLi"
        "RR<0nIB?*=frGL@@Wr!uu~w~b0(qVDSpRkADHWXGB>yc2k)kI<pOk$_(%ZnflHzAI+`_I)tkA~(Unp^iS~oC?1ovaK<oKoQxL7!z"
        "6&w2h-V!Rc{X!}I{KxJ80NJPxr2"
    )
)  # fmt: skip
"""A workbook of the old binary kind: a sheet, and a hidden one."""


def pdf(*pages: str) -> bytes:
    """A PDF with a line of text on each page; readers rebuild the table of contents that it lacks."""
    kids = " ".join(f"{10 + 2 * number} 0 R" for number in range(len(pages)))
    parts = [
        "%PDF-1.4",
        "1 0 obj <</Type /Catalog /Pages 2 0 R>> endobj",
        f"2 0 obj <</Type /Pages /Count {len(pages)} /Kids [{kids}]>> endobj",
        "3 0 obj <</Type /Font /Subtype /Type1 /BaseFont /Helvetica>> endobj",
    ]
    for number, text in enumerate(pages):
        page, content = 10 + 2 * number, 11 + 2 * number
        stream = f"BT /F1 12 Tf 50 700 Td ({text}) Tj ET"
        parts += [
            f"{page} 0 obj <</Type /Page /Parent 2 0 R /MediaBox [0 0 600 800]",
            f"/Contents {content} 0 R /Resources <</Font <</F1 3 0 R>>>>>> endobj",
            f"{content} 0 obj <</Length {len(stream)}>> stream\n{stream}\nendstream endobj",
        ]
    return "\n".join([*parts, "trailer <</Root 1 0 R>>", "%%EOF"]).encode()


def docx() -> bytes:
    document = Document()
    document.add_paragraph(WORDS)
    document.add_table(2, 2).cell(0, 0).text = "cell"
    document.sections[0].header.paragraphs[0].text = "letterhead"
    return saved(document.save)


def xlsx() -> bytes:
    workbook = Workbook()
    for row in ([WORDS], ["name", 12.5, None, True]):
        workbook.worksheets[0].append(row)
    return saved(workbook.save)


def pptx() -> bytes:
    presentation = Presentation()
    slide = presentation.slides.add_slide(presentation.slide_layouts[5])
    slide.shapes.title.text = WORDS
    slide.notes_slide.notes_text_frame.text = "a note"
    return saved(presentation.save)


def odt() -> bytes:
    return packages.odt(f"<text:p>{WORDS}</text:p>")


def ods(rows: str, *, more: str = "") -> bytes:
    """An OpenDocument sheet with those rows; ``more`` stands in its manifest."""
    table = f'<table:table table:name="Prices">{rows}</table:table>'
    return packages.package(
        {
            "mimetype": ODS,
            "META-INF/manifest.xml": f"<manifest:manifest xmlns:manifest='urn:m'>{more}</manifest:manifest>",
            "content.xml": f"<office:document-content {packages.OPEN_DOCUMENT}><office:body><office:spreadsheet>{table}"
            "</office:spreadsheet></office:body></office:document-content>",
        }
    )


def _attribute(level: int, name: int, kind: int, data: bytes) -> bytes:
    return struct.pack("<BHHI", level, name, kind, len(data)) + data + struct.pack("<H", sum(data) & 0xFFFF)


def winmail() -> bytes:
    """A message with an attachment, as Outlook wraps it (MS-OXTNEF)."""
    message = _attribute(1, 0x9007, 6, struct.pack("<II", 1252, 0)) + _attribute(1, 0x8004, 1, b"Order 4711\0")
    message += _attribute(1, 0x800C, 7, WORDS.encode() + b"\0")
    attachment = _attribute(2, 0x9002, 6, bytes(14)) + _attribute(2, 0x8010, 1, b"list.csv\0")
    attachment += _attribute(2, 0x800F, 6, b"item,amount\nchair,310.40\n")
    return struct.pack("<IH", 0x223E9F78, 1) + message + attachment


def mail() -> bytes:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "a@example.com", "b@example.com", WORDS
    message.set_content(f"{WORDS}\n\u00e4\u00f6\u00fc\n")
    message.add_alternative(f"<p>{WORDS}</p>", subtype="html")
    message.add_attachment(pdf(WORDS), maintype="application", subtype="pdf", filename="a.pdf")
    return message.as_bytes()


def outlook() -> bytes | None:
    """None where the measuring data does not lie beside the project: no library writes this format."""
    file = REPORTED / "44-msg-embedded-message/embedded.msg"
    return file.read_bytes() if file.exists() else None


def png() -> bytes:
    return saved(lambda file: Image.new("L", (40, 40), 255).save(file, "PNG"))


def saved(save: Callable[[io.BytesIO], object]) -> bytes:
    file = io.BytesIO()
    save(file)
    return file.getvalue()


def _samples() -> dict[str, bytes]:
    made = {
        "a.pdf": pdf(WORDS, "second page"),
        "a.docx": docx(),
        "a.xlsx": xlsx(),
        "a.pptx": pptx(),
        "a.odt": odt(),
        "a.rtf": rb"{\rtf1\ansi{\fonttbl{\f0 Arial;}}" + WORDS.encode() + rb"\par \'e4\u8364?}",
        "a.html": f"<html><head><title>t</title></head><body><p>{WORDS}<table><tr><td>1".encode(),
        "a.eml": mail(),
        "a.png": png(),
        "a.txt": f"{WORDS} \u00e4".encode("cp1252"),
        "a.csv": WORDS.encode("utf-16"),
        "a.xls": XLS,
        "a.ods": ods(
            f'<table:table-row><table:table-cell office:value-type="string"><text:p>{WORDS}</text:p>'
            "</table:table-cell></table:table-row>"
        ),
        "winmail.dat": winmail(),
        "a.json": b'{"total": 12.5}',
    }
    message = outlook()
    return made if message is None else {**made, "a.msg": message}


SAMPLES = _samples()
"""By a name that each might have."""
