"""A thousand calls at once in one ``io`` worker: 5,000 documents at 10 s a call, beside the same ones at once.

    .venv/bin/python -m bench.thousand [--documents 5000] [--threads 1000] [--latency 10] [--json]

It tells time and CPU, the memory of each worker, and what is open: threads and files of the ``io`` worker, and
connections to Postgres. It may take 1.2 times the longer of the ideal and of what CPU alone needs, and the last
call's time.
"""

from __future__ import annotations

import argparse

from bench.chain import receipts
from bench.harness import tell
from bench.slow_calls import SlowCalls, measure


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--documents", type=int, default=5000)
    parser.add_argument("--threads", type=int, default=1000)
    parser.add_argument("--latency", type=float, default=10.0, help="Seconds a call.")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    which = SlowCalls(documents=options.documents, latency_s=options.latency, threads=options.threads)
    found = measure(which, receipts, DOCMILL_TASK_EVENTS="false")
    longer_s = max(which.ideal_s, found["seconds, CPU alone"])
    wanted = {"seconds, at most as wanted": 1.2 * longer_s + which.latency_s}
    tell("thousand", {**found, **wanted}, "seconds, CPU alone")


if __name__ == "__main__":
    main()
