"""Workbooks of the binary kinds and of OpenDocument, Outlook's wrapping of mails, and pictures of telephones."""

from __future__ import annotations

import io
from email.message import EmailMessage

import pillow_heif
import pytest
from PIL import Image

from docmill.errors import Unreadable
from docmill.reading import media
from docmill.reading.formats import read_document
from docmill.reading.ocr.pictures import picture_at
from docmill.reading.values import DEFAULT_LIMITS, Reading
from tests.documents import XLS, ods, winmail


def read(body: bytes, name: str = "") -> Reading:
    return read_document(body, name=name, limits=DEFAULT_LIMITS)


@pytest.mark.parametrize("name", ["a.xls", "", "a.doc", "a.bin"])
def test_an_old_workbook_is_known_by_its_bytes_and_its_rows_stay_rows(name: str) -> None:
    found = read(XLS, name)
    assert (
        found.text
        == "Prices\nName\t\tTotal\nChair blue\t\t310.4\nTRUE\t4\t2026-03-05\nInvoice 4711, total 12.50 EUR"
    )
    assert (found.media_type, found.pages) == (media.XLS, (0,))
    assert found.warning == "hidden, and left out: sheet Notes"


def test_a_broken_one_is_corrupt() -> None:
    with pytest.raises(Unreadable) as caught:
        read(XLS[:1200], "a.xls")
    assert caught.value.kind == "corrupt"


def test_an_opendocument_sheet_keeps_its_gaps() -> None:
    cells = (
        '<table:table-cell office:value-type="string"><text:p>Chair</text:p></table:table-cell><table:table-cell/>'
    )
    amount = '<table:table-cell office:value-type="float" office:value="310.4"><text:p>310.40</text:p></table:table-cell>'
    found = read(ods(f"<table:table-row>{cells}{amount}</table:table-row>"))
    assert (found.text, found.media_type) == ("Prices\nChair\t\t310.4", media.ODS)


def test_an_encrypted_opendocument_sheet_says_so() -> None:
    with pytest.raises(Unreadable) as caught:
        read(ods("", more="<manifest:encryption-data/>"))
    assert caught.value.kind == "encrypted"


def test_what_outlook_wraps_is_read_with_its_attachments() -> None:
    message = EmailMessage()
    message["From"], message["Subject"] = "a@example.com", "Order"
    message.set_content("See the file.")
    message.add_attachment(winmail(), maintype="application", subtype="ms-tnef", filename="winmail.dat")
    found = read(message.as_bytes(), "a.eml")
    for words in ("Subject: Order 4711", "total 12.50 EUR", "list.csv", "chair,310.40"):
        assert found.text.count(words) == 1
    assert found.warnings == ()


@pytest.mark.parametrize("cut", [5, 20, 60, 90])
def test_a_wrapping_that_is_cut_off_does_no_harm(cut: int) -> None:
    try:
        read(winmail()[:cut])
    except Unreadable as error:
        assert error.kind == "corrupt"


def test_a_picture_of_a_telephone_is_opened() -> None:
    file = io.BytesIO()
    pillow_heif.from_pillow(Image.new("RGB", (60, 40), "red")).save(file)
    assert media.media_type(file.getvalue()) == media.HEIC
    picture = picture_at(file.getvalue(), 0)
    assert (picture.size, picture.mode) == ((60, 40), "RGB")
