"""What a submit's request says: JSON with a text, or a form with a file."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from fastapi import Request
from pydantic import ValidationError
from pydantic_core import from_json
from starlette.datastructures import FormData, UploadFile

from web.limits import MOST_BYTES, too_large
from web.problems import Problem, invalid
from web.schemas import LONGEST_DEADLINE_S, SUBMIT_EXAMPLE, FileWanted, JobWanted

__all__ = ["REQUEST_BODY", "Wanted", "read"]

MEDIA_TYPE = re.compile(r"[\w.+-]{1,60}/[\w.+-]{1,60}", re.ASCII)
ANY_MEDIA_TYPE = "application/octet-stream"

FIELDS = "#/components/schemas/FileWanted/properties"
REQUEST_BODY: dict[str, Any] = {
    "required": True,
    "content": {
        "application/json": {"schema": {"$ref": "#/components/schemas/JobWanted"}, "example": SUBMIT_EXAMPLE},
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "required": ["file", "prompt"],
                "additionalProperties": False,
                "properties": {
                    "file": {"type": "string", "format": "binary", "description": "Of any kind that is read"},
                    "version": {"$ref": "#/components/schemas/Version"},
                    **{name: {"$ref": f"{FIELDS}/{name}"} for name in ("prompt", "feature", "user", "lane")},
                    "name": {"$ref": f"{FIELDS}/feature"},
                    "deadline": {"type": "number", "minimum": 0, "maximum": LONGEST_DEADLINE_S},
                    "params": {"type": "object", "description": "As JSON"},
                },
            },
        },
    },
}


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """A document, and what is wanted of it."""

    options: FileWanted
    body: bytes
    name: str | None
    media_type: str


async def read(request: Request) -> Wanted:
    """Raises Problem: 400, 413, 415 or 422."""
    kind = _kind(request.headers.get("content-type"))
    if kind == "multipart/form-data":
        async with request.form(max_files=1, max_fields=20) as form:
            return await _from_form(form)
    if kind not in ("", "application/json") and not kind.endswith("+json"):
        raise Problem(415, "send JSON as application/json, or a file as multipart/form-data in the field `file`")
    return _from_json(await request.body())


def _from_json(content: bytes) -> Wanted:
    try:
        wanted = JobWanted.model_validate_json(content)
    except ValidationError as error:
        raise invalid(error.errors()) from error
    body = wanted.document.encode()
    if len(body) > MOST_BYTES:
        raise too_large()
    return Wanted(options=wanted, body=body, name=wanted.name, media_type="text/plain")


async def _from_form(form: FormData) -> Wanted:
    file = form.get("file")
    if not isinstance(file, UploadFile):
        raise _wrong("file", "Field required, as an upload")
    body = await file.read()
    if len(body) > MOST_BYTES:
        raise too_large()
    fields: dict[str, Any] = {name: value for name, value in form.items() if name != "file" and value != ""}
    if "params" in fields:
        fields["params"] = _params(fields["params"])
    try:
        options = FileWanted.model_validate(fields)
    except ValidationError as error:
        raise invalid(error.errors()) from error
    return Wanted(
        options=options,
        body=body,
        name=options.name or _file_name(file.filename),
        media_type=_media_type(file.content_type),
    )


def _params(written: object) -> Any:
    if not isinstance(written, str):
        raise _wrong("params", "JSON, as a text")
    try:
        return from_json(written, allow_inf_nan=False)
    except ValueError as error:
        raise _wrong("params", "JSON, as a text") from error


def _wrong(field: str, rule: str) -> Problem:
    return Problem(422, f"{field}: {rule}", errors=[{"field": field, "rule": rule}])


def _kind(content_type: str | None) -> str:
    return (content_type or "").partition(";")[0].strip().lower()


def _media_type(said: str | None) -> str:
    kind = _kind(said)
    return kind if MEDIA_TYPE.fullmatch(kind) else ANY_MEDIA_TYPE


def _file_name(said: str | None) -> str | None:
    """The last part of an upload's name, which is shown, and hints at the format; nothing is opened by it."""
    last = re.split(r"[/\\]", said or "")[-1]
    shown = "".join(character for character in last if character.isprintable())
    return shown[-200:] or None
