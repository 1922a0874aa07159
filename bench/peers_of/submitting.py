"""Submits documents by the hundred: ``FIRST LAST`` a line on standard input, ``submitted`` a line back.

Everything is imported and connected before the first line, so that who measures does not measure that.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import psycopg
from receipt import DATABASE

SCHEMA = """
create table if not exists documents (id integer primary key, body bytea not null);
create table if not exists answers (
  document integer primary key references documents, answer jsonb not null, stored integer not null default 1);
"""


def serve(enqueue: Callable[[Sequence[int]], object]) -> None:
    """Stores the documents, and hands their ids to the peer's own way of enqueueing."""
    bodies = json.loads(Path(os.environ["PEERS_DOCUMENTS"]).read_text(encoding="utf-8"))
    with psycopg.connect(DATABASE, autocommit=True) as connection:
        connection.execute(SCHEMA)
        print("ready", flush=True)
        for line in sys.stdin:
            first, last = map(int, line.split())
            ids = range(first, last)
            rows = [(each, bodies[each].encode()) for each in ids]
            with connection.transaction(), connection.cursor() as cursor:
                cursor.executemany("insert into documents values (%s, %s)", rows)
            enqueue(ids)
            print("submitted", flush=True)
