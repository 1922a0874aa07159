"""Writes ``examples/documents``: invented documents, a folder for each prompt, some long and some broken.

    .venv/bin/python examples/make_documents.py

The companies are made up. The PDFs are written by hand, with one font and no library, so that the same run
gives the same bytes. Scans and photographs are drawn by Pillow.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFilter, ImageFont

HERE = Path(__file__).parent / "documents"
LINES_A_PAGE = 48


def pdf(lines: Sequence[str]) -> bytes:
    """A PDF with the lines in Helvetica, as many pages as it takes."""
    pages = [lines[at : at + LINES_A_PAGE] for at in range(0, len(lines), LINES_A_PAGE)]
    kids = " ".join(f"{4 + 2 * at} 0 R" for at in range(len(pages)))
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {len(pages)} >>".encode(),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
    ]
    for at, page in enumerate(pages):
        content = "BT /F1 11 Tf 60 780 Td 15 TL " + " ".join(f"({_escaped(line)}) Tj T*" for line in page) + " ET"
        stream = content.encode("cp1252")
        objects += [
            (
                f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents {5 + 2 * at} 0 R"
                " /Resources << /Font << /F1 3 0 R >> >> >>"
            ).encode(),
            b"<< /Length %d >>\nstream\n%s\nendstream" % (len(stream), stream),
        ]
    return _assembled(objects)


def scan(lines: Sequence[str]) -> bytes:
    """A PDF of one page that is a picture, laid a little askew, as a scanner sees it."""
    page = drawn(lines, (1240, 1754), 26, left=120, top=140).rotate(
        0.4, fillcolor=238, resample=Image.Resampling.BICUBIC
    )
    picture = jpeg(page.filter(ImageFilter.GaussianBlur(0.6)))
    content = b"595 0 0 842 0 0 cm /Im0 Do"
    return _assembled(
        [
            b"<< /Type /Catalog /Pages 2 0 R >>",
            b"<< /Type /Pages /Kids [4 0 R] /Count 1 >>",
            b"<< /Type /XObject /Subtype /Image /Width 1240 /Height 1754 /ColorSpace /DeviceGray /BitsPerComponent 8"
            b" /Filter /DCTDecode /Length %d >>\nstream\n%s\nendstream" % (len(picture), picture),
            (
                b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 5 0 R"
                b" /Resources << /XObject << /Im0 3 0 R >> >> >>"
            ),
            b"<< /Length %d >>\nstream\n%s\nendstream" % (len(content), content),
        ]
    )


def photograph(lines: Sequence[str]) -> bytes:
    """A slip of paper on a table, taken with the camera on its side, which notes that it was."""
    slip = drawn(lines, (640, 60 + 44 * len(lines)), 30, left=40, top=30)
    table = Image.new("L", (slip.width + 160, slip.height + 160), 120)
    table.paste(slip, (80, 80))
    turned = table.rotate(1.2, fillcolor=120, resample=Image.Resampling.BICUBIC).rotate(90, expand=True)
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    return jpeg(turned.filter(ImageFilter.GaussianBlur(0.5)), exif=exif.tobytes())


ORIENTATION = 0x0112


def drawn(lines: Sequence[str], size: tuple[int, int], height: int, *, left: int, top: int) -> Image.Image:
    """The lines on paper."""
    paper = Image.new("L", size, 238)
    draw, font = ImageDraw.Draw(paper), ImageFont.load_default(height)
    for at, line in enumerate(lines):
        draw.text((left, top + at * int(height * 1.45)), line, fill=30, font=font)
    return paper


def jpeg(picture: Image.Image, **options: bytes) -> bytes:
    written = io.BytesIO()
    picture.save(written, "JPEG", quality=45, **options)
    return written.getvalue()


def _assembled(objects: Sequence[bytes]) -> bytes:
    out = b"%PDF-1.4\n"
    places = []
    for number, content in enumerate(objects, start=1):
        places.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, content)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    head = b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    tail = b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, len(out))
    return out + head + table + tail


def _escaped(line: str) -> str:
    return line.replace("\\", r"\\").replace("(", r"\(").replace(")", r"\)")


def invoice(
    seller: str, buyer: str, number: str, issued: str, due: str, lines: Sequence[tuple[str, int, float]]
) -> list[str]:
    net = round(sum(quantity * price for _, quantity, price in lines), 2)
    tax = round(net * 0.2, 2)
    return [
        seller,
        "4 Harbour Road, Northport",
        "VAT number: GB 123 4567 89",
        "",
        "INVOICE",
        f"Invoice number: {number}",
        f"Invoice date: {issued}",
        f"Due date: {due}",
        "",
        f"Bill to: {buyer}",
        "12 Mill Lane, Southfield",
        "",
        "Description    Quantity    Unit price    Amount",
        *(f"{name}    {quantity}    {price:.2f}    {quantity * price:.2f}" for name, quantity, price in lines),
        "",
        f"Net total: {net:.2f} GBP",
        f"VAT 20 %: {tax:.2f} GBP",
        f"Total due: {net + tax:.2f} GBP",
        "",
        "Please pay within thirty days.",
    ]


def receipt(shop: str, street: str, day: str, items: Sequence[tuple[str, float]]) -> str:
    total = sum(price for _, price in items)
    body = "\n".join(f"{name:<24}{price:>8.2f}" for name, price in items)
    return (
        f"{shop}\n{street}\nTel: 03-5555 0100\n\nDate: {day}   14:05\nReceipt no: 00{len(shop)}71\n\n{body}\n"
        f"{'-' * 32}\nTOTAL                   {total:>8.2f}\nCASH                    {total + 5:>8.2f}\n"
        f"CHANGE                  {5:>8.2f}\n\nThank you, come again!\n"
    )


def agreement(one: str, other: str, day: str, law: str, years: str, clauses: int) -> str:
    filler = "\n\n".join(
        f"{number}. Neither party shall disclose information of class {number} that was marked as confidential, "
        f"save to those of its staff and advisers who need to know it and are bound by like duties. "
        f"Information that was public, was known before, or is found out independently is not confidential."
        for number in range(3, 3 + clauses)
    )
    return (
        f"MUTUAL NON-DISCLOSURE AGREEMENT\n\n"
        f'This Agreement is made and entered into as of {day} (the "Effective Date") by and between {one} '
        f"and {other}.\n\n"
        f"1. Purpose. The parties wish to explore a business relationship and may disclose confidential "
        f"information to each other.\n\n"
        f"2. Term. This Agreement shall remain in force for a period of {years} from the Effective Date.\n\n"
        f"{filler}\n\n"
        f"{3 + clauses}. Governing Law. This Agreement shall be governed by and construed in accordance with "
        f"the laws of {law}.\n\n"
        f"IN WITNESS WHEREOF the parties have executed this Agreement as of the Effective Date.\n"
    )


MAIL = """<!DOCTYPE html>
<html><head><title>Your order</title><style>p { color: #333 }</style></head>
<body>
<p>From: orders@quillandpaper.example<br>To: office@southfield.example<br>Subject: Your order has been shipped</p>
<p>Dear customer,</p>
<p>your order of <b>three boxes of paper</b> has left our warehouse today and should reach you by Friday.
You can follow the parcel on its way with the number that the carrier has sent you.</p>
<p>Kind regards<br>Quill &amp; Paper</p>
</body></html>
"""

ARTICLE = """The harbour of Northport

Northport is a town at the mouth of the river Ald. Its harbour was built in 1843, when the railway reached the coast.
For sixty years coal from the inland mines was shipped there to the whole of the continent.

When the mines closed, the harbour fell silent. In 1974 the council bought the quays and let them to boat builders,
sail makers and a school of navigation. The school has taught more than four thousand pupils since.

Today the harbour earns more from visitors than it ever did from coal. Each June the regatta brings sixty ships to the
town, and the old customs house, restored in 2011, holds a museum of the river.
"""


def dot() -> bytes:
    """A picture of one grey point, as PNG: there is nothing in it to read."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    head = struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0)
    pixel = zlib.compress(b"\0\x80")
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", pixel) + chunk(b"IEND", b"")


def documents() -> dict[str, bytes]:
    """Every file by its path below ``documents``."""
    paper = [("Copy paper, box", 12, 21.50), ("Envelopes, 500", 4, 18.25), ("Ink, black", 6, 9.90)]
    hull = [("Hull inspection", 1, 480.00), ("Anti-fouling paint, 5 l", 3, 112.40)]
    long = [(f"Spare part {number:03}", 1 + number % 4, 3.15 + number) for number in range(120)]
    first = pdf(invoice("Quill & Paper Ltd", "Southfield Mills Ltd", "QP-2041", "2026-03-02", "2026-04-01", paper))
    return {
        "invoice/paper.pdf": first,
        "invoice/hull.pdf": pdf(
            invoice("Northport Boatyard Ltd", "Ald River Ferries Ltd", "NB-771", "2026-05-18", "2026-06-17", hull)
        ),
        "invoice/parts-long.pdf": pdf(
            invoice("Ald Machine Works Ltd", "Northport Boatyard Ltd", "AMW-9", "2026-06-30", "2026-07-30", long)
        ),
        "invoice/scan.pdf": scan(
            invoice("Ald Machine Works Ltd", "Southfield Mills Ltd", "AMW-12", "2026-07-06", "2026-08-05", hull)
        ),
        "invoice/torn.pdf": first[: len(first) // 3],
        "receipt/tea.txt": receipt(
            "TEA HOUSE NORTHPORT", "8 Quay Street", "14/03/2026", [("Green tea", 4.20), ("Scones x2", 6.50)]
        ).encode(),
        "receipt/hardware.txt": receipt(
            "ALD HARDWARE SDN BHD", "21 Market Square", "02/05/2026", [("Rope 20 m", 31.90), ("Shackle", 7.75)]
        ).encode(),
        "receipt/old-encoding.txt": receipt(
            "CAFÉ DU PORT", "3 Rue de l'Église", "21/06/2026", [("Café crème", 3.80), ("Crêpe", 7.20)]
        ).encode("cp1252"),
        "receipt/empty.txt": b"",
        "receipt/scan.pdf": scan(
            receipt(
                "NORTHPORT BAKERY LTD", "2 Harbour Road", "09/07/2026", [("Rye bread", 3.40), ("Butter", 2.95)]
            ).splitlines()
        ),
        "receipt/photograph.jpg": photograph(
            receipt(
                "MARKET FISH BAR", "5 Market Square", "11/07/2026", [("Cod", 9.80), ("Chips", 3.60)]
            ).splitlines()
        ),
        "nda/short.txt": agreement(
            "Northport Boatyard Ltd", "Quill & Paper Ltd", "March 2, 2026", "England and Wales", "two (2) years", 3
        ).encode(),
        "nda/long.pdf": pdf(
            _wrapped(
                agreement(
                    "Ald River Ferries Ltd", "Ald Machine Works Ltd", "May 18, 2026", "Scotland", "three years", 60
                )
            )
        ),
        "document_type/mail.html": MAIL.encode(),
        "document_type/hull.pdf": pdf(
            invoice("Northport Boatyard Ltd", "Ald River Ferries Ltd", "NB-772", "2026-05-19", "2026-06-18", hull)
        ),
        "document_type/picture.png": dot(),
        "summary/harbour.txt": ARTICLE.encode(),
    }


def _wrapped(text: str, width: int = 92) -> list[str]:
    lines: list[str] = []
    for paragraph in text.splitlines():
        line = ""
        for word in paragraph.split():
            if len(line) + len(word) + 1 > width:
                lines.append(line)
                line = word
            else:
                line = f"{line} {word}".strip()
        lines.append(line)
    return lines


if __name__ == "__main__":
    for path, content in documents().items():
        target = HERE / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
