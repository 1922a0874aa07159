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
from typing import Any

import psutil
import pytest
from PIL import Image, ImageDraw, ImageFont

from docmill.errors import Unreadable
from docmill.reading import Limits, Reader, read
from docmill.reading.ocr import tesseract
from docmill.reading.process import ReadingProcess
from docmill.reading.values import OcrEngine, Scan, reading_of, with_scans
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
        (Limits(timeout_s=0.001), pdf(*["a"] * 300), "timeout"),
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


def killed_at_work(monkeypatch: pytest.MonkeyPatch, times: int) -> None:
    """So many children are killed while they have a document."""
    left = [None] * times
    ask = ReadingProcess.ask

    def asked(process: ReadingProcess, *arguments: Any) -> Any:
        process.greet()
        if left:
            left.pop()
            child = psutil.Process(process.pid)
            child.suspend()
            threading.Timer(0.1, child.kill).start()
        return ask(process, *arguments)

    monkeypatch.setattr(ReadingProcess, "ask", asked)


def test_a_document_whose_reader_somebody_kills_is_read_by_the_next_one(
    reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed_at_work(monkeypatch, 1)
    assert reader.read_bytes(pdf("a")).text == "a"


def test_a_document_of_which_two_readers_die_is_unreadable(
    reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed_at_work(monkeypatch, 2)
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
        patch.setattr("docmill.apart.frames.receive", interrupted)
        with pytest.raises(KeyboardInterrupt):
            reader.read_bytes(pdf("first"))
    assert reader.read_bytes(pdf("second")).text == "second"


def test_no_child_outlives_its_reader() -> None:
    with Reader() as reader:
        reader.read_bytes(pdf("a"))
        pid = child_pid()
    assert not psutil.pid_exists(pid)


needs_tesseract = pytest.mark.skipif(
    tesseract.found() is None and "CI" not in os.environ, reason=tesseract.MISSING
)
ENGINES = ["rapidocr", pytest.param("tesseract", marks=needs_tesseract)]


def picture(*lines: str) -> Image.Image:
    """Black on white, large enough to be read."""
    made = Image.new("L", (1200, 100 + 80 * len(lines)), 255)
    draw = ImageDraw.Draw(made)
    for number, line in enumerate(lines):
        draw.text((60, 50 + 80 * number), line, fill=0, font=ImageFont.load_default(48))
    return made


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


@pytest.fixture(scope="module")
def ocr_reader() -> Iterator[Reader]:
    """Its engine loads for seconds."""
    with Reader(Limits(ocr=True)) as made:
        yield made


@pytest.mark.parametrize("engine", ENGINES)
def test_a_table_on_a_picture_is_read_in_rows(ocr_reader: Reader, engine: OcrEngine) -> None:
    image = picture("INVOICE 4711", "Chair", "Desk")
    draw = ImageDraw.Draw(image)
    for y, amount in ((130, "310.40"), (210, "12.50")):
        draw.text((800, y), amount, fill=0, font=ImageFont.load_default(48))
    found = ocr_reader.read_bytes(saved(image, "PNG"), limits=Limits(ocr=True, ocr_engine=engine))
    assert [line.split("\t") for line in found.text.split("\n") if line] == [
        ["INVOICE 4711"],
        ["Chair", "310.40"],
        ["Desk", "12.50"],
    ]
    assert (found.warning, found.media_type) == ("text that OCR guessed from a picture: page 1", "image/png")


def turned(image: Image.Image) -> bytes:
    """A photograph that says how it was held."""
    exif = Image.Exif()
    exif[0x0112] = 6
    return saved(image.rotate(90, expand=True), "JPEG", exif=exif)


CLEAR = Image.new("RGBA", (1200, 260), (0, 0, 0, 0))
CLEAR.paste((0, 0, 0, 255), mask=picture("TOTAL 12.50", "").point(lambda dot: 255 - dot))
PICTURES = {
    "jpeg": saved(picture("TOTAL 12.50"), "JPEG"),
    "tiff": saved(picture("TOTAL 12.50"), "TIFF"),
    "gif": saved(picture("TOTAL 12.50"), "GIF"),
    "webp": saved(picture("TOTAL 12.50"), "WEBP"),
    "bmp": saved(picture("TOTAL 12.50"), "BMP"),
    "cmyk": saved(picture("TOTAL 12.50").convert("CMYK"), "JPEG"),
    "16 bits": saved(picture("TOTAL 12.50").convert("I").point(lambda dot: dot * 257).convert("I;16"), "PNG"),
    "clear": saved(CLEAR, "PNG"),
    "turned": turned(picture("TOTAL 12.50")),
}


@pytest.mark.parametrize("body", PICTURES.values(), ids=list(PICTURES))
def test_pictures_of_every_kind_are_read(ocr_reader: Reader, body: bytes) -> None:
    assert ocr_reader.read_bytes(body).text == "TOTAL 12.50"


@pytest.mark.parametrize("degrees", [90, 180])
def test_a_page_that_lies_on_its_side_or_head_is_read(ocr_reader: Reader, degrees: int) -> None:
    """As it is scanned: nothing in the file says how it was held."""
    page = picture("TOTAL 12.50").convert("L").rotate(degrees, expand=True)
    found = ocr_reader.read_bytes(saved(page, "PNG"))
    assert found.text == "TOTAL 12.50"
    first, second = found.layout[0].words()
    assert (first.y0 > second.y0) if degrees == 90 else (first.x0 > second.x0)


def test_each_picture_of_a_file_is_a_page(ocr_reader: Reader) -> None:
    body = saved(picture("FIRST 1"), "TIFF", save_all=True, append_images=[picture("SECOND 2"), picture("")])
    found = ocr_reader.read_bytes(body)
    assert [found.text[start:].split("\n")[0] for start in found.pages] == ["FIRST 1", "SECOND 2", ""]
    assert [(warning.kind, warning.where) for warning in found.warnings] == [
        ("ocr_guessed", ("page 1", "page 2")),
        ("ocr_empty", ("page 3",)),
    ]


def test_a_scan_is_read_page_by_page_and_says_so(ocr_reader: Reader) -> None:
    body = saved(picture("FIRST 1"), "PDF", resolution=150, save_all=True, append_images=[picture("SECOND 2")])
    found = ocr_reader.read_bytes(body)
    assert [found.text[start:].split("\n")[0] for start in found.pages] == ["FIRST 1", "SECOND 2"]
    assert found.warning == "text that OCR guessed from a picture: page 1, page 2"
    assert found.scans == ()


def test_a_page_that_takes_too_long_is_told_and_the_others_are_kept(ocr_reader: Reader) -> None:
    body = saved(picture("FIRST 1"), "PDF", resolution=150)
    with pytest.raises(Unreadable) as caught:
        ocr_reader.read_bytes(body, limits=Limits(ocr=True, ocr_timeout_s=0.01))
    assert caught.value.kind == "timeout"
    reading = reading_of("one\n\n\n\n", "application/pdf", pages=(0, 5, 7), scans=(1, 2))
    kept = with_scans(reading, {1: Scan(text="two")})
    assert [kept.text[start:].split("\n")[0] for start in kept.pages] == ["one", "two", ""]
    assert [(warning.kind, warning.where) for warning in kept.warnings] == [
        ("ocr_guessed", ("page 2",)),
        ("ocr_unfinished", ("page 3",)),
    ]
    assert ocr_reader.read_bytes(pdf("next")).text == "next"


def test_without_ocr_a_picture_is_not_read_and_a_scan_is_empty(reader: Reader) -> None:
    with pytest.raises(Unreadable, match="the file is a picture, and OCR is off: set DOCMILL_OCR=on") as caught:
        reader.read_bytes(saved(picture("INVOICE"), "PNG"))
    assert caught.value.kind == "unsupported"
    found = reader.read_bytes(saved(picture("INVOICE"), "PDF"))
    assert (found.empty, found.scans) == (True, (0,))
    assert found.warning == "an image without text, and OCR is off: set DOCMILL_OCR=on: page 1"


def test_scans_may_be_left_to_be_read_one_by_one(reader: Reader) -> None:
    found = reader.read_bytes(saved(picture("INVOICE"), "PNG"), limits=Limits(leave_scans=True))
    assert (found.empty, found.pages, found.scans) == (True, (0,), (0,))


def test_where_tesseract_is_missing_it_is_said_so(monkeypatch: pytest.MonkeyPatch) -> None:
    tesseract.found.cache_clear()
    monkeypatch.setattr(tesseract, "PLACES", "/nowhere")
    with pytest.raises(Unreadable, match="apt-get install tesseract-ocr") as caught:
        tesseract.words_in(picture("INVOICE"), within_s=1)
    tesseract.found.cache_clear()
    assert caught.value.kind == "unsupported"


def test_a_picture_that_is_broken_or_a_bomb_is_refused_by_name(ocr_reader: Reader) -> None:
    whole = saved(picture("INVOICE"), "PNG")
    header = whole[12:16] + struct.pack(">II", 100_000, 100_000) + whole[24:29]
    vast = whole[:12] + header + struct.pack(">I", zlib.crc32(header)) + whole[33:]
    for body, kind in ((whole[:40], "corrupt"), (whole[: len(whole) // 3], "corrupt"), (vast, "too_large")):
        with pytest.raises(Unreadable) as caught:
            ocr_reader.read_bytes(body)
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
