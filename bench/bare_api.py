"""What FastAPI itself takes: an endpoint that parses the same JSON, checks it by the same model, and answers."""

from __future__ import annotations

import sys

import uvicorn
from fastapi import FastAPI

from web.schemas import JOB_EXAMPLE, JobShown, JobWanted

app = FastAPI()


@app.post("/v1/jobs", status_code=202, response_model=JobShown)
def submit(wanted: JobWanted) -> dict[str, object]:
    return {**JOB_EXAMPLE, "prompt": wanted.prompt}


if __name__ == "__main__":
    uvicorn.run(app, port=int(sys.argv[1]), log_level="warning", access_log=False)
