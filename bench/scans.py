"""A fleet that reads scans: killed at random, or beside somebody who waits for a short text.

Usage: ``python -m bench.scans kills [--files 500] [--scans 50] [--every 2] [--seed 1]`` kills workers, their
processes and the processes that parse and do OCR, by SIGKILL, while files of five kinds and scans go through;
told is what was lost, and which pages OCR read more than once. ``python -m bench.scans delay [--scans 20]
[--pages 100] [--texts 60]`` measures how long a tenant waits for the answer about a text, alone and beside
another's scans.
"""

from __future__ import annotations

import argparse
import io
import os
import random
import signal
import statistics
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from email.message import EmailMessage
from typing import Any

import docx
import psutil
from PIL import Image, ImageDraw, ImageFont
from sqlalchemy import Engine, text

from bench.stack import MeasuredStack, stack
from db.engine import make_engine
from db.submit import Submission, submit_many

LOG = """
create table scan_log (document_id bigint, page int, what text, at timestamptz default clock_timestamp());
create function log_scan() returns trigger language plpgsql security definer as $$ begin
  insert into scan_log values (new.document_id, new.page,
    case when new.text is not null then 'kept' when new.failure is not null then 'failed' else 'claimed' end);
  return null; end $$;
create trigger scan_watch after insert or update on scanned_pages for each row execute function log_scan();
"""
CHILD = "docmill.reading.child"
QUIET = {"DOCMILL_TASK_EVENTS": "false"}


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("what", choices=["kills", "delay"])
    options.add_argument("--files", type=int, default=500)
    options.add_argument("--scans", type=int)
    options.add_argument("--pages", type=int, default=100)
    options.add_argument("--texts", type=int, default=60)
    options.add_argument("--every", type=float, default=2.0, help="seconds between two kills, on average")
    options.add_argument("--seed", type=int, default=1)
    given = options.parse_args()
    with stack(**QUIET) as measured:
        if given.what == "kills":
            _kills(measured, given.files, given.scans or 50, given.every, random.Random(given.seed))
        else:
            _delay(measured, given.scans or 20, given.pages, given.texts)


# --- killed at random ---


def _kills(measured: MeasuredStack, files: int, scans: int, every_s: float, chance: random.Random) -> None:
    owner = make_engine(measured.addresses["database_owner_url"])
    with owner.begin() as connection:
        connection.execute(text(LOG))
    bodies = [*(KINDS[at % len(KINDS)](at) for at in range(files - scans)), *map(_receipt_scan, range(scans))]
    chance.shuffle(bodies)
    begun = time.monotonic()
    with measured.engine.begin() as connection:
        submit_many(connection, (Submission(prompt="receipt", version="v2", body=body) for body in bodies))
    with _killing(measured, every_s, chance) as killed:
        measured.await_ends()
    print(f"{files} files, {scans} of them scans, in {time.monotonic() - begun:.0f} s")
    print("killed: " + ", ".join(f"{count} × {name}" for name, count in killed.most_common()))
    _tell_ends(owner, killed)


ENDS = "select state, failure->>'message' as why, count(*) as n from jobs group by 1, 2 order by 3 desc"
PAGES = """
select document_id, page, count(*) filter (where what = 'claimed') as claims,
  count(*) filter (where what = 'kept') as kept, count(*) filter (where what = 'failed') as failed
from scan_log group by 1, 2"""
WRONG = """
select count(*) from jobs j join documents d on d.id = j.document_id left join results r on r.job_id = j.id
where (r.value->>'total')::numeric is distinct from substring(d.text from 'TOTAL ([0-9.]+)')::numeric"""


def _tell_ends(engine: Engine, killed: Counter[str]) -> None:
    with engine.connect() as connection:
        ends, pages = (connection.execute(text(query)).all() for query in (ENDS, PAGES))
        wrong = connection.execute(text(WRONG)).scalar_one()
    for end in ends:
        print(f"  {end.n:>5} {end.state} {end.why or ''}"[:150])
    print(f"answers that are not the document's: {wrong}")
    killed_at_ocr = sum(count for name, count in killed.items() if name.startswith("ocr"))
    print(
        f"{len(pages)} pages read by OCR; kept twice: {sum(row.kept > 1 for row in pages)}; failed:"
        f" {sum(row.failed for row in pages)}; begun again: {sum(row.claims - 1 for row in pages)}, where"
        f" {killed_at_ocr} were killed that do OCR"
    )


@contextmanager
def _killing(measured: MeasuredStack, every_s: float, chance: random.Random) -> Iterator[Counter[str]]:
    """Kills something that reads every few seconds, and counts what."""
    killed: Counter[str] = Counter()
    over = threading.Event()

    def kill() -> None:
        while not over.wait(chance.expovariate(1 / every_s)):
            with suppress(psutil.Error, ProcessLookupError, KeyError):
                name, pid = _victim(measured, chance)
                os.kill(pid, signal.SIGKILL)
                killed[name] += 1

    thread = threading.Thread(target=kill)
    thread.start()
    try:
        yield killed
    finally:
        over.set()
        thread.join()


WEIGHTS = {"reading process": 6, "process": 3, "worker": 1}
"""How often each kind is killed; a worker takes long to come back."""


def _victim(measured: MeasuredStack, chance: random.Random) -> tuple[str, int]:
    """What parses or does OCR, what waits for it, or the worker of these. Raises KeyError where there is none."""
    part = chance.choice([name for name in measured.pids_now() if name.startswith(("cpu", "ocr"))])
    worker = psutil.Process(measured.pids_now()[part])
    found: dict[str, list[int]] = {"worker": [worker.pid]}
    for child in worker.children(recursive=True):
        kind = "reading process" if CHILD in " ".join(child.cmdline()) else "process"
        found.setdefault(kind, []).append(child.pid)
    (kind,) = chance.choices(list(WEIGHTS), list(WEIGHTS.values()))
    return f"{part.partition('-')[0]} {kind}", chance.choice(found[kind])


# --- beside another's scans ---


def _delay(measured: MeasuredStack, scans: int, pages: int, texts: int) -> None:
    alone = _waits(measured, texts, "alone")
    bodies = [_long_scan(at, pages) for at in range(scans)]
    with measured.engine.begin() as connection:
        submit_many(
            connection, (Submission(prompt="receipt", version="v2", body=body, tenant="scans") for body in bodies)
        )
    time.sleep(5)
    beside = _waits(measured, texts, "beside")
    with measured.engine.connect() as connection:
        read = connection.execute(text("select count(*) from scanned_pages where text is not null")).scalar_one()
    for name, waits in (("alone", alone), ("beside", beside)):
        print(f"{name:<8} p50 {statistics.median(waits):.2f} s, p95 {_p95(waits):.2f} s, most {max(waits):.2f} s")
    print(f"delay at p95 {_p95(beside) - _p95(alone):.2f} s; {read} pages were read by OCR meanwhile")


def _waits(measured: MeasuredStack, texts: int, name: str) -> list[float]:
    """Seconds to the answer about each of some texts, submitted one after the other."""
    found = []
    for at in range(texts):
        body = _lines(f"{name} {at}", at).encode()
        begun = time.monotonic()
        wanted = Submission(prompt="receipt", version="v2", body=body, tenant="texts", lane="interactive")
        with measured.engine.begin() as connection:
            (job,) = submit_many(connection, [wanted])
        while _still_waits(measured.engine, job):
            time.sleep(0.02)
        found.append(time.monotonic() - begun)
        time.sleep(0.3)
    return found


def _still_waits(engine: Engine, job: int) -> bool:
    with engine.connect() as connection:
        asked = text("select wait is not null from jobs where id = :id")
        return bool(connection.execute(asked, {"id": job}).scalar_one())


def _p95(values: Sequence[float]) -> float:
    return sorted(values)[int(0.95 * (len(values) - 1))]


# --- what is submitted ---


def _lines(name: str, number: int) -> str:
    return f"TEA HOUSE {name}\n1 Sample Street\nDate: 2021-03-04\nGreen tea {number}.10\nTOTAL {number}.10\n"


def _plain(number: int) -> bytes:
    return _lines(f"plain {number}", number).encode()


def _page(number: int) -> bytes:
    lines = _lines(f"page {number}", number).split("\n")
    return f"<html><body>{''.join(f'<p>{line}</p>' for line in lines)}".encode()


def _word(number: int) -> bytes:
    document = docx.Document()
    for line in _lines(f"word {number}", number).split("\n"):
        document.add_paragraph(line)
    return _saved(document)


def _mail(number: int) -> bytes:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "a@example.com", "b@example.com", f"Receipt {number}"
    message["Date"] = "Fri, 05 Mar 2021 10:00:00 +0000"
    message.set_content(_lines(f"mail {number}", number))
    return message.as_bytes()


def _printed(number: int) -> bytes:
    shown = " ".join(f"({line}) Tj 0 -20 Td" for line in _lines(f"print {number}", number).split("\n"))
    stream = f"BT /F1 12 Tf 50 700 Td {shown} ET"
    font = "<</Type /Font /Subtype /Type1 /BaseFont /Helvetica>>"
    page = (
        "<</Type /Page /Parent 2 0 R /MediaBox [0 0 600 800] /Contents 5 0 R /Resources <</Font <</F1 3 0 R>>>>>>"
    )
    objects = ["<</Type /Catalog /Pages 2 0 R>>", "<</Type /Pages /Count 1 /Kids [4 0 R]>>", font, page]
    objects.append(f"<</Length {len(stream)}>> stream\n{stream}\nendstream")
    body = "\n".join(f"{at} 0 obj {content} endobj" for at, content in enumerate(objects, 1))
    return f"%PDF-1.4\n{body}\ntrailer <</Root 1 0 R>>\n%%EOF".encode()


KINDS = (_plain, _page, _word, _mail, _printed)


def _receipt_scan(number: int) -> bytes:
    pages = [_picture(_lines(f"scan {number}", number))]
    pages += [_picture(f"Thank you {number}")] if number % 2 else []
    return _pdf(pages, number)


def _long_scan(number: int, pages: int) -> bytes:
    first = _picture(_lines(f"scan {number}", number))
    return _pdf([first, *[_picture("Thank you for your visit")] * (pages - 1)], number)


def _picture(words: str) -> Image.Image:
    picture = Image.new("L", (700, 60 + 50 * words.count("\n")), 255)
    ImageDraw.Draw(picture).text((30, 20), words, fill=0, font=ImageFont.load_default(30), spacing=16)
    return picture


def _pdf(pages: Sequence[Image.Image], number: int) -> bytes:
    file = io.BytesIO()
    pages[0].save(file, "PDF", save_all=True, append_images=pages[1:])
    return file.getvalue() + f"\n% {number}".encode()


def _saved(document: Any) -> bytes:
    file = io.BytesIO()
    document.save(file)
    return file.getvalue()


if __name__ == "__main__":
    main()
