"""What a submit's request says: JSON with a text, or a form with a file."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from fastapi import Request
from pydantic import ValidationError
from pydantic_core import from_json
from starlette.datastructures import FormData, UploadFile

from docmill.bounds import LONGEST_PATH
from web.limits import MOST_BYTES, too_large
from web.problems import Problem, invalid
from web.schemas import (
    INDEX_EXAMPLE,
    LANGUAGES_KNOWN,
    LONGEST_DEADLINE_S,
    SUBMIT_EXAMPLE,
    FileToIndex,
    FileWanted,
    NamedFile,
)

__all__ = ["INDEX_BODY", "SUBMIT_BODY", "Wanted", "media_type", "read", "read_json"]

MEDIA_TYPE = re.compile(r"[\w.+-]{1,60}/[\w.+-]{1,60}", re.ASCII)
ANY_MEDIA_TYPE = "application/octet-stream"

REFERENCE = "#/components/schemas"
FILE = {"type": "string", "format": "binary", "description": "Of any kind that is read"}


def _body(
    texts: Sequence[str], example: dict[str, Any], form: dict[str, Any], required: list[str]
) -> dict[str, Any]:
    """A request's body as OpenAPI has it: JSON of one of the models, or a form with a file and these fields."""
    models = [{"$ref": f"{REFERENCE}/{text}"} for text in texts]
    schema: dict[str, Any] = models[0] if len(models) == 1 else {"anyOf": models}
    fields = {"type": "object", "required": ["file", *required], "additionalProperties": False}
    return {
        "required": True,
        "content": {
            "application/json": {"schema": schema, "example": example},
            "multipart/form-data": {"schema": {**fields, "properties": {"file": FILE, **form}}},
        },
    }


def _fields(model: type[NamedFile], *names: str) -> dict[str, Any]:
    """Fields of the model in full: many generators of clients follow no reference into a schema."""
    known = model.model_json_schema()["properties"]
    return {
        name: {of: part for of, part in known[name].items() if of not in ("default", "title")} for name in names
    }


SUBMIT_BODY = _body(
    ["JobWanted", "AddressWanted"],
    SUBMIT_EXAMPLE,
    {
        "version": {"$ref": f"{REFERENCE}/Version"},
        "prompt": {"$ref": f"{REFERENCE}/Prompt"},
        **_fields(FileWanted, "feature", "user", "lane"),
        "name": {"type": "string", "maxLength": LONGEST_PATH, "pattern": r"^[^\x00-\x1f\x7f]*$"},
        "deadline": {"type": "number", "minimum": 0, "maximum": LONGEST_DEADLINE_S},
        "params": {"type": "object", "description": "As JSON"},
        "metadata": {"type": "object", "description": "As JSON"},
    },
    ["prompt"],
)
INDEX_BODY = _body(
    ["TextToIndex"],
    INDEX_EXAMPLE,
    {
        **_fields(FileToIndex, "feature", "user", "lane"),
        "name": {"type": "string", "maxLength": LONGEST_PATH, "pattern": r"^[^\x00-\x1f\x7f]*$"},
        "meta": {"type": "object", "description": "As JSON"},
        "language": {"type": "string", "enum": LANGUAGES_KNOWN},
    },
    [],
)

AS_JSON = ("params", "meta", "metadata")
"""Fields of a form that are written so."""

File = TypeVar("File", bound=NamedFile)


@dataclass(frozen=True, kw_only=True)
class Wanted(Generic[File]):
    """A document, and what is wanted of it."""

    options: File
    body: bytes
    name: str | None
    media_type: str


async def read(
    request: Request, *, file: type[File], text: type[File], address: type[File] | None = None
) -> Wanted[File]:
    """A form with an upload as ``file``, or JSON as ``text``, which has a ``document`` too.

    JSON with a ``document_url`` is read as ``address``, where that may be given; its document is still to come.

    Raises Problem: 400, 413, 415 or 422.
    """
    kind = _kind(request.headers.get("content-type"))
    if kind == "multipart/form-data":
        async with request.form(max_files=1, max_fields=20) as form:
            return await _from_form(form, file)
    if kind not in ("", "application/json") and not kind.endswith("+json"):
        raise Problem(415, "send JSON as application/json, or a file as multipart/form-data in the field `file`")
    content = await request.body()
    if address is not None and _names_address(content):
        text = address
    return _from_json(content, text)


def _names_address(content: bytes) -> bool:
    """Whether JSON has a ``document_url``. Most has not, and is not read twice for it."""
    if b'"document_url"' not in content:
        return False
    try:
        found = from_json(content)
    except ValueError:
        return False
    return isinstance(found, dict) and "document_url" in found


def _from_json(content: bytes, text: type[File]) -> Wanted[File]:
    try:
        wanted = text.model_validate_json(content)
    except ValidationError as error:
        raise invalid(error.errors()) from error
    body = str(getattr(wanted, "document", "")).encode()
    if len(body) > MOST_BYTES:
        raise too_large()
    return Wanted(options=wanted, body=body, name=wanted.name, media_type="text/plain")


async def _from_form(form: FormData, file: type[File]) -> Wanted[File]:
    upload = form.get("file")
    if not isinstance(upload, UploadFile):
        raise _wrong("file", "Field required, as an upload")
    body = await upload.read()
    if len(body) > MOST_BYTES:
        raise too_large()
    fields: dict[str, Any] = {name: value for name, value in form.items() if name != "file" and value != ""}
    for name in AS_JSON:
        if name in fields:
            fields[name] = read_json(name, fields[name])
    try:
        options = file.model_validate(fields)
    except ValidationError as error:
        raise invalid(error.errors()) from error
    return Wanted(
        options=options,
        body=body,
        name=options.name or upload.filename,
        media_type=media_type(upload.content_type),
    )


def read_json(field: str, written: object) -> Any:
    """A field that is written as JSON. Raises Problem."""
    if not isinstance(written, str):
        raise _wrong(field, "JSON, as a text")
    try:
        return from_json(written, allow_inf_nan=False)
    except ValueError as error:
        raise _wrong(field, "JSON, as a text") from error


def _wrong(field: str, rule: str) -> Problem:
    return Problem(422, f"{field}: {rule}", errors=[{"field": field, "rule": rule}])


def _kind(content_type: str | None) -> str:
    return (content_type or "").partition(";")[0].strip().lower()


def media_type(said: str | None) -> str:
    """The media type that a sender declares, where it is one; else the one of anything."""
    kind = _kind(said)
    return kind if MEDIA_TYPE.fullmatch(kind) else ANY_MEDIA_TYPE
