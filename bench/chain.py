"""Documents a second through the five stages, beside bare Celery's chains of five tasks that do nothing.

    make bench            (or: .venv/bin/python -m bench.chain [--json])

The simulator answers at once, so what is measured is docmill: Postgres, parsing and the ledger included. Both
run over the same Valkey, one after the other, with the same number of threads.
"""

from __future__ import annotations

import importlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from sqlalchemy import text

from bench.harness import tell
from db.engine import make_engine
from db.submit import Submission, submit

DOCUMENTS = 500
THREADS = "100"


def main() -> None:
    data = Path(tempfile.mkdtemp(prefix="docmill-bench-"))
    data.chmod(0o711)
    ready = data / "up.json"
    up = subprocess.Popen(
        [sys.executable, "-m", "docmill.cli", "up", "--data", str(data / "stack"), "--ready-file", str(ready)],
        stdout=subprocess.DEVNULL,
    )
    try:
        while not ready.exists():
            if up.poll() is not None:
                sys.exit("the stack did not come up: run `docmill up` to see why")
            time.sleep(0.05)
        addresses = json.loads(ready.read_text(encoding="utf-8"))
        figures = {
            "bare Celery, chains a second": bare(addresses["broker_url"]),
            "docmill, documents a second": docmill(addresses["database_url"]),
        }
    finally:
        up.terminate()
        up.wait()
        shutil.rmtree(data, ignore_errors=True)
    tell("chain", figures, "bare Celery, chains a second")


def docmill(database_url: str) -> float:
    engine = make_engine(database_url)
    started = time.monotonic()
    with engine.begin() as connection:
        for number in range(DOCUMENTS):
            body = f"TEA HOUSE {number}\nDate: 2021-03-04\nTOTAL {number}.10\n".encode()
            submit(connection, Submission(prompt="receipt", body=body, name=f"{number}.txt"))
    while True:
        with engine.connect() as connection:
            done = connection.execute(text("select count(*) from jobs where state = 'done'")).scalar_one()
        if done == DOCUMENTS:
            break
        time.sleep(0.05)
    engine.dispose()
    return DOCUMENTS / (time.monotonic() - started)


def bare(broker_url: str) -> float:
    os.environ["BARE_BROKER"] = broker_url
    module = importlib.import_module("bench.bare")
    worker = subprocess.Popen(
        [sys.executable, "-m", "celery", "-A", "bench.bare", "worker", "--pool", "threads", "-c", THREADS],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        module.five().apply_async()
        while int(module.counter.get("bare:done") or 0) < 1:  # the worker is up
            time.sleep(0.05)
        started = time.monotonic()
        for _ in range(DOCUMENTS):
            module.five().apply_async()
        while int(module.counter.get("bare:done")) < DOCUMENTS + 1:
            time.sleep(0.05)
        return DOCUMENTS / (time.monotonic() - started)
    finally:
        worker.terminate()
        worker.wait()


if __name__ == "__main__":
    main()
