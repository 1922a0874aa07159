"""A small web app that takes an upload, has docmill read it, and shows the answer.

    DOCMILL=http://127.0.0.1:8080 uvicorn --app-dir examples/fastapi_app app:app --port 8000

It needs docmill's wheel, FastAPI and python-multipart; docmill runs elsewhere (`docmill up` shows its address).
"""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from html import escape

from fastapi import FastAPI, Form, UploadFile
from fastapi.responses import HTMLResponse, RedirectResponse

from docmill.client import AsyncDocmill
from docmill.errors import DocmillError, IdempotencyConflict, JobUnknown, SubmitRefused

FORM = """
<h1>Read a receipt</h1>
<form method="post" enctype="multipart/form-data">
  <input type="file" name="file" required> <input type="hidden" name="prompt" value="receipt"> <button>Send</button>
</form>
"""


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    async with AsyncDocmill(os.environ["DOCMILL"], os.environ.get("DOCMILL_KEY")) as docmill:
        app.state.docmill = docmill
        yield


app = FastAPI(lifespan=lifespan)


@app.get("/", response_class=HTMLResponse)
async def form() -> str:
    return FORM


@app.post("/")
async def upload(file: UploadFile, prompt: str = Form("receipt")) -> RedirectResponse:
    """Enqueues and returns at once; the answer's page waits for nothing either."""
    job = await app.state.docmill.submit(await file.read(), prompt=prompt, feature="uploads")
    return RedirectResponse(f"/answers/{job.id}", status_code=303)


@app.get("/answers/{job_id}", response_class=HTMLResponse)
async def answer(job_id: int) -> str:
    job = await app.state.docmill.job(job_id)
    if not job.ended:
        return f'<meta http-equiv="refresh" content="1"><p>Job {job_id} is {job.state}.</p>'
    told = (
        json.dumps(job.value, indent=2, ensure_ascii=False)
        if job.value is not None
        else (job.failure or {}).get("message", "")
    )
    return f"<h1>{escape(job.state)}</h1><pre>{escape(told)}</pre><p>{escape(job.cost_usd or 'unknown')} USD</p>"


STATUS = {JobUnknown: 404, SubmitRefused: 400, IdempotencyConflict: 409}


@app.exception_handler(DocmillError)
async def failed(_: object, error: DocmillError) -> HTMLResponse:
    return HTMLResponse(f"<p>{escape(str(error))}</p>", status_code=STATUS.get(type(error), 502))
