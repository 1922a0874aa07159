"""What people submit by mistake or in malice: each fails for its reason, with what to do, and the rest goes on."""

from __future__ import annotations

import io
import json
import re
import zipfile
from pathlib import Path

from PIL import Image

from tests.command import Command

RECEIPT = "TEA HOUSE\n1 Sample Street\nDate: 2021-03-04\nGreen tea 4.10\nTOTAL 4.10\n"


def pdf(pages: int, *, encrypted: bool = False) -> bytes:
    """So many pages without a word; readers rebuild the table of contents that it lacks."""
    kids = " ".join(f"{number} 0 R" for number in range(10, 10 + pages))
    lock = "/Encrypt 3 0 R /ID [<00> <00>]" if encrypted else ""
    parts = [
        "%PDF-1.4\n1 0 obj <</Type /Catalog /Pages 2 0 R>> endobj",
        f"2 0 obj <</Type /Pages /Count {pages} /Kids [{kids}]>> endobj",
        f"3 0 obj <</Filter /Standard /V 1 /R 2 /O <{'00' * 32}> /U <{'11' * 32}> /P -4>> endobj",
        *(f"{10 + at} 0 obj <</Type /Page /Parent 2 0 R /MediaBox [0 0 9 9]>> endobj" for at in range(pages)),
        f"trailer <</Root 1 0 R {lock}>>\n%%EOF",
    ]
    return "\n".join(parts).encode()


def scan() -> bytes:
    file = io.BytesIO()
    Image.new("L", (100, 100), 255).save(file, "PDF")
    return file.getvalue()


def png() -> bytes:
    file = io.BytesIO()
    Image.new("L", (10, 10)).save(file, "PNG")
    return file.getvalue()


def bomb() -> bytes:
    """A Word document of a few hundred kilobytes that unpacks to 200 MB."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("[Content_Types].xml", "<Types/>")
        with archive.open("word/document.xml", "w", force_zip64=True) as member:
            for _ in range(200):
                member.write(b" " * 2**20)
    return file.getvalue()


def locked() -> bytes:
    """As Word saves with a password."""
    return b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(504) + "EncryptedPackage".encode("utf-16-le") + bytes(500)


def nested_mail(levels: int) -> bytes:
    """A message within a message within a message."""
    wrapped = "".join(
        f"Subject: level {level}\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b{level}\r\n\r\n"
        f"--b{level}\r\nContent-Type: text/plain\r\n\r\nforwarded\r\n"
        f"--b{level}\r\nContent-Type: message/rfc822\r\n\r\n"
        for level in range(levels)
    )
    return f"From: ann@example.com\r\n{wrapped}Subject: the innermost\r\n\r\n{RECEIPT}".encode()


BAD: dict[str, tuple[bytes, str, str]] = {
    "encrypted.pdf": (pdf(1, encrypted=True), "encrypted", "needs a password"),
    "locked.docx": (locked(), "encrypted", "locked with a password: submit it without one"),
    "corrupt.pdf": (b"%PDF-1.4\nand no more", "corrupt", "the PDF is broken"),
    "empty.txt": (b"", "empty", "the file has no bytes"),
    "scan.pdf": (scan(), "empty", "a picture in which OCR finds no text: page 1"),
    "mislabelled.pdf": (png(), "empty", "a picture in which OCR finds no text"),
    "bomb.docx": (bomb(), "too_large", "it unpacks to 200 MB of text; 80 MB are read: split it"),
    "pages.pdf": (pdf(10_000), "too_large", "the PDF has 10,000 pages; at most 2,000 are read"),
    "deep.eml": (nested_mail(600), "too_large", "nested too deeply: submit what is inside by itself"),
}


def test_each_fails_for_its_reason_and_the_batch_goes_on(up: Path, docmill: Command, tmp_path: Path) -> None:
    for name, (body, _, _) in BAD.items():
        (tmp_path / name).write_bytes(body)
    (tmp_path / "good.txt").write_text(RECEIPT + "\n")
    (tmp_path / "mail.eml").write_bytes(nested_mail(20))

    done = docmill("submit", str(tmp_path), "--prompt", "receipt", "--wait", "--json", "--data", str(up))
    jobs = {Path(job["path"]).name: job for job in map(json.loads, done.stdout.splitlines())}
    assert done.returncode == 1
    assert {name: jobs[name]["state"] for name in ("good.txt", "mail.eml")} == {
        "good.txt": "done",
        "mail.eml": "done",
    }
    for name, (_, kind, why) in BAD.items():
        failure = jobs[name]["failure"]
        assert (name, jobs[name]["state"], failure["kind"], failure["detail"]) == (
            name,
            "failed",
            "unreadable",
            kind,
        )
        assert re.search(why, failure["message"]), failure
        assert jobs[name]["cost_usd"] == "0", "nothing was paid for it"
