"""What a web app imports: documents submitted over HTTP, answers fetched.

    from docmill.client import Docmill

    with Docmill("http://127.0.0.1:8080") as docmill:
        job = docmill.submit(Path("invoice.pdf"), prompt="invoice", feature="bookkeeping")
        answer = docmill.wait(job.id).value

Needs httpx and pydantic alone. Each request is made again where nothing came back or the server was busy: a
submit carries an idempotency key, so that it is one job however often it is sent. :func:`submit_in` submits
within an application's own database transaction instead.
"""

from __future__ import annotations

from docmill.client.http import AsyncDocmill, Docmill, JobFailed
from docmill.client.job import AnswerRow, Job
from docmill.client.run import LineAnswer, Run
from docmill.client.transaction import submit_in
from docmill.client.webhook import Delivery, Webhook

__all__ = [
    "AnswerRow",
    "AsyncDocmill",
    "Delivery",
    "Docmill",
    "Job",
    "JobFailed",
    "LineAnswer",
    "Run",
    "Webhook",
    "submit_in",
]
