"""A small document of each format that is read, made on the spot."""

from __future__ import annotations

import io
from collections.abc import Callable
from email.message import EmailMessage
from pathlib import Path

from docx import Document
from openpyxl import Workbook
from PIL import Image
from pptx import Presentation

from tests import packages

__all__ = ["SAMPLES", "WORDS", "pdf"]

WORDS = "Invoice 4711, total 12.50 EUR"
REPORTED = Path(__file__).parents[2] / "shared/data/7_reported"


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
        "a.json": b'{"total": 12.5}',
    }
    message = outlook()
    return made if message is None else {**made, "a.msg": message}


SAMPLES = _samples()
"""By a name that each might have."""
