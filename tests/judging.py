"""Replies to be judged, and prompts whose checks do harm."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

from db.jobs import Answer, Document, Job
from db.stored import as_json, loads
from prompts import Excerpt, PromptVersion
from tasks.verdicts import Rejected, Verdict

__all__ = ["RECEIPT", "RECEIPT_REPLY", "Asked", "asked", "harmful", "stored"]

RECEIPT = "TEA HOUSE 1\nDate: 2021-03-04\nTOTAL 1.10\n"
RECEIPT_REPLY = '{"company":"TEA HOUSE 1","address":null,"date":"2021-03-04","total":1.10,"currency":null}'

Asked = tuple[Job, PromptVersion, Excerpt, Answer]
"""What a judge is asked with."""


def asked(
    prompt: PromptVersion,
    reply: str = RECEIPT_REPLY,
    *,
    text: str = RECEIPT,
    finish_reason: str = "stop",
    context: Mapping[str, Any] | None = None,
    found: Sequence[str] = (),
    pages: Sequence[int] = (0,),
    layout: bytes | None = None,
) -> Asked:
    """A judge's question about a reply of the prompt's model, which was shown the whole text."""
    context = context or {"passages": [[0, len(text)]]}
    document = Document(id=1, name=None, media_type="text/plain", body=None, text=text, pages=pages, layout=layout)
    job = Job(
        id=1, tenant="default", feature="test", usr="", lane="bulk", chain="document", document_id=1,
        collection=None, prompt=prompt.name, version=prompt.version, params={}, stage="parse", epoch=1, attempt=1,
        purpose="first", model=None, history=[], context=context, value=None, crashes=0, redrives=0,
        flight_key=None, fresh=False, overdue=False, content_hash=prompt.content_hash, document=document,
    )  # fmt: skip
    passages = tuple(text[start:end] for start, end in context["passages"])
    answer = Answer(call_id=UUID(int=1), text=reply, finish_reason=finish_reason)
    return job, prompt, Excerpt(passages=passages, found=tuple(found)), answer


def stored(verdict: Verdict) -> Verdict:
    """The verdict as it would be read from its job's row."""
    kept = None if verdict.kept is None else loads(as_json(verdict.kept) or "")
    rejected = None if verdict.rejected is None else loads(as_json(vars(verdict.rejected)) or "")
    if rejected is not None:
        rejected = Rejected(**{**rejected, "problems": tuple(rejected["problems"])})
    return Verdict(kept=kept, rejected=rejected)


OUTPUT = """
import os, sys, time
from pydantic import BaseModel, field_validator


class Output(BaseModel):
    company: str

    @field_validator("company")
    @classmethod
    def harmless(cls, company: str) -> str:
        if company.startswith("harm"):
            {harm}
        return company
"""


def harmful(folder: Path, name: str, harm: str, like: Path) -> None:
    """Writes a prompt into the folder, with a check that does ``harm`` to a company of that name."""
    version = folder / name / "v1"
    version.mkdir(parents=True)
    for file in like.iterdir():
        if file.is_file():
            (version / file.name).write_text(file.read_text())
    (version / "output.py").write_text(OUTPUT.format(harm=harm))
