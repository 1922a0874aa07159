"""Reading files in the child process, and what happens when one breaks it."""

from __future__ import annotations

import io
import json
import os
import struct
import threading
import unicodedata
import zlib
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from PIL import Image, ImageDraw, ImageFont

from docmill.errors import Unreadable
from docmill.reading import Limits, Reader, image, ocr, read
from tests.documents import pdf

DATA = Path(__file__).parents[3] / "shared/data/3_formats/dev"


@pytest.fixture
def reader() -> Iterator[Reader]:
    with Reader() as made:
        yield made


def child_pid() -> int:
    children = psutil.Process().children()
    return next(child.pid for child in children if "docmill.reading.child" in child.cmdline())


def test_a_pdf_has_its_pages(reader: Reader) -> None:
    found = reader.read_bytes(pdf("INVOICE 7", "TOTAL 12.00"))
    assert [found.text[start:].split("\n")[0] for start in found.pages] == ["INVOICE 7", "TOTAL 12.00"]
    assert found.media_type == "application/pdf"
    assert not found.empty


def test_html_reads_as_a_browser_shows_it(reader: Reader) -> None:
    found = reader.read_bytes(b"<html><script>no()</script><p>Total &euro; 12</p></html>", name="mail.html")
    assert found.text.strip() == "Total € 12"


@pytest.mark.parametrize(
    "page",
    [
        "<html><meta charset='iso-8859-7'><p>αβγ".encode("iso-8859-7"),
        "<html><meta charset='no-such'><p>αβγ".encode(),
        b"\xff\xfe" + "<html><p>αβγ".encode("utf-16-le"),
    ],
)
def test_html_is_decoded_as_it_declares(reader: Reader, page: bytes) -> None:
    assert reader.read_bytes(page, name="a.html").text.strip() == "αβγ"


def test_a_pdf_without_text_is_empty_and_says_why(reader: Reader) -> None:
    found = reader.read_bytes(pdf(""))
    assert found.empty
    assert found.warning == "there is no text in it"


@pytest.mark.parametrize(
    ("limits", "body", "kind"),
    [
        (Limits(max_bytes=10), b"x" * 11, "too_large"),
        (Limits(max_pages=1), pdf("a", "b"), "too_large"),
        (Limits(max_text_chars=5), pdf("much too long"), "too_large"),
        (Limits(max_text_chars=5), b"much too long", "too_large"),
        (Limits(timeout_s=0.001), pdf("a"), "timeout"),
        (Limits(), b"%PDF-1.4\nno more", "corrupt"),
    ],
)
def test_limits_have_names(limits: Limits, body: bytes, kind: str) -> None:
    with Reader(limits) as reader, pytest.raises(Unreadable) as caught:
        reader.read_bytes(body)
    assert caught.value.kind == kind


def test_a_large_file_is_refused_by_its_size_alone(tmp_path: Path) -> None:
    path = tmp_path / "large.txt"
    with path.open("wb") as file:
        file.truncate(200_000_000)
    with pytest.raises(Unreadable, match=r"190\.7 MB; at most 50\.0 are read") as caught:
        read(path)
    assert caught.value.kind == "too_large"


def test_an_empty_file_is_empty(tmp_path: Path) -> None:
    (tmp_path / "empty.txt").touch()
    assert read(tmp_path / "empty.txt").empty


def test_one_child_reads_many_files_and_a_killed_one_is_replaced(reader: Reader) -> None:
    reader.read_bytes(pdf("a"))
    first = child_pid()
    reader.read_bytes(pdf("b"))
    assert child_pid() == first
    killed = psutil.Process(first)
    killed.kill()
    killed.wait()
    assert reader.read_bytes(pdf("d")).text == "d"
    assert child_pid() != first


def test_a_child_that_dies_at_work_makes_the_file_unreadable(reader: Reader) -> None:
    reader.read_bytes(pdf("a"))
    child = psutil.Process(child_pid())
    child.suspend()
    threading.Timer(0.2, child.kill).start()
    with pytest.raises(Unreadable, match="more than 512 MB of memory"):
        reader.read_bytes(pdf("b"))
    assert reader.read_bytes(pdf("c")).text == "c"


@pytest.mark.parametrize("body", [b"a text", b"<html><p>a page"])
def test_whatever_kind_it_is_the_child_reads_it(reader: Reader, body: bytes) -> None:
    """Else a text that takes for ever would hold the worker itself."""
    reader.read_bytes(body)
    child = psutil.Process(child_pid())
    child.suspend()
    with pytest.raises(Unreadable) as caught:
        reader.read_bytes(body, limits=Limits(timeout_s=0.2))
    assert caught.value.kind == "timeout"
    assert not child.is_running()


def test_an_interrupted_reading_leaves_no_answer_for_the_next_file(
    reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object, **__: object) -> bytes:
        raise KeyboardInterrupt

    reader.read_bytes(pdf("a"))
    with monkeypatch.context() as patch:
        patch.setattr("docmill.reading.frames.receive", interrupted)
        with pytest.raises(KeyboardInterrupt):
            reader.read_bytes(pdf("first"))
    assert reader.read_bytes(pdf("second")).text == "second"


def test_no_child_outlives_its_reader() -> None:
    with Reader() as reader:
        reader.read_bytes(pdf("a"))
        pid = child_pid()
    assert not psutil.pid_exists(pid)


needs_tesseract = pytest.mark.skipif(ocr.found() is None and "CI" not in os.environ, reason=ocr.MISSING)


def picture(*lines: str) -> Image.Image:
    """Black on white, large enough to be read."""
    made = Image.new("L", (1200, 100 + 80 * len(lines)), 255)
    draw = ImageDraw.Draw(made)
    for number, line in enumerate(lines):
        draw.text((60, 50 + 80 * number), line, fill=0, font=ImageFont.load_default(48))
    return made


def saved(image: Image.Image, kind: str) -> bytes:
    file = io.BytesIO()
    image.save(file, kind)
    return file.getvalue()


@needs_tesseract
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "GIF"])
def test_pictures_are_read_by_ocr_where_it_is_allowed(reader: Reader, kind: str) -> None:
    found = reader.read_bytes(saved(picture("INVOICE 4711", "TOTAL 12.50"), kind), limits=Limits(ocr=True))
    assert found.text.split("\n") == ["INVOICE 4711", "TOTAL 12.50"]
    assert found.warning == "text that OCR guessed from a picture"
    assert found.media_type == f"image/{kind.lower()}"


@needs_tesseract
def test_a_scan_is_read_page_by_page_and_says_so(reader: Reader) -> None:
    file = io.BytesIO()
    picture("FIRST 1").save(file, "PDF", resolution=150, save_all=True, append_images=[picture("SECOND 2")])
    found = reader.read_bytes(file.getvalue(), limits=Limits(ocr=True))
    assert [found.text[start:].split("\n")[0] for start in found.pages] == ["FIRST 1", "SECOND 2"]
    assert found.warning == "text that OCR guessed from a picture: page 1, page 2"


@needs_tesseract
def test_ocr_keeps_to_the_time_limit(reader: Reader) -> None:
    pages = [picture(f"PAGE {number}") for number in range(60)]
    file = io.BytesIO()
    pages[0].save(file, "PDF", resolution=100, save_all=True, append_images=pages[1:])
    with pytest.raises(Unreadable, match="OCR of it takes too long: split it") as caught:
        reader.read_bytes(file.getvalue(), limits=Limits(ocr=True, timeout_s=3))
    assert caught.value.kind == "timeout"
    assert reader.read_bytes(pdf("next")).text == "next"


def test_without_ocr_a_picture_is_not_read_and_a_scan_is_empty(reader: Reader) -> None:
    with pytest.raises(Unreadable, match="the file is a picture, and OCR is off: set DOCMILL_OCR=on") as caught:
        reader.read_bytes(saved(picture("INVOICE"), "PNG"))
    assert caught.value.kind == "unsupported"
    found = reader.read_bytes(saved(picture("INVOICE"), "PDF"))
    assert found.empty
    assert found.warning == (
        "an image without text, and OCR is off: set DOCMILL_OCR=on where tesseract is installed: page 1"
    )


def test_where_tesseract_is_missing_it_is_said_so(monkeypatch: pytest.MonkeyPatch) -> None:
    ocr.found.cache_clear()
    monkeypatch.setattr(ocr, "PLACES", "/nowhere")
    with pytest.raises(Unreadable, match="apt-get install tesseract-ocr") as caught:
        image.read_body(saved(picture("INVOICE"), "PNG"), charset=None, limits=Limits(ocr=True))
    ocr.found.cache_clear()
    assert caught.value.kind == "unsupported"


@needs_tesseract
def test_a_picture_that_is_broken_or_a_bomb_is_refused_by_name(reader: Reader) -> None:
    whole = saved(picture("INVOICE"), "PNG")
    header = whole[12:16] + struct.pack(">II", 100_000, 100_000) + whole[24:29]
    vast = whole[:12] + header + struct.pack(">I", zlib.crc32(header)) + whole[33:]
    for body, kind in ((whole[:40], "corrupt"), (whole[: len(whole) // 3], "corrupt"), (vast, "too_large")):
        with pytest.raises(Unreadable) as caught:
            reader.read_bytes(body, limits=Limits(ocr=True))
        assert caught.value.kind == kind


def gold() -> list[dict[str, object]]:
    lines = (DATA / "gold.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def plain(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).split())


@pytest.mark.skipif(not DATA.exists(), reason="the measuring data does not lie beside the project")
def test_real_files_are_read_or_refused_for_the_right_reason(reader: Reader) -> None:
    wrong = []
    for case in gold():
        wanted = str(case["expect"])
        outcome: str
        try:
            found = reader.read(DATA / str(case["file"]))
        except Unreadable as error:
            outcome = error.kind
        else:
            outcome = "empty" if found.empty else "text"
            if not all(plain(words) in plain(found.text) for words in case.get("must_contain") or []):  # type: ignore[attr-defined] # a list
                outcome = "other text"
        fits = {
            "any": True,
            "refuse": outcome not in ("text", "empty"),
            "refuse_path": outcome != "text",
            # An image that is called a PDF is no broken PDF.
            "corrupt": outcome in ("corrupt", "unsupported"),
        }.get(wanted, outcome == wanted)
        if not fits:
            wrong.append((case["id"], wanted, outcome))
    assert not wrong
