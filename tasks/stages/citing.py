"""Where citations stand: each on its page of the document of the collection that its words are of."""

from __future__ import annotations

from typing import Any

from db import documents
from db.jobs import Job
from docmill.parsing.placing.locating import place_at
from docmill.reading import Reading
from docmill.reading.layout.places import Geometry
from tasks.services import Services

__all__ = ["with_pages"]


def with_pages(services: Services, job: Job, kept: dict[str, Any]) -> dict[str, Any]:
    """Returns an answer with page, boxes and words of each citation, as far as its document still has them."""
    cited = {path: place for path, place in (kept["evidence"] or {}).items() if "document_id" in place}
    if not cited:
        return kept
    ids = {place["document_id"] for place in cited.values()}
    readings = {each: services.database.run(documents.reading_of, each, job.tenant) for each in ids}
    placed = {path: _placed(place, readings[place["document_id"]]) for path, place in cited.items()}
    return {**kept, "evidence": {**kept["evidence"], **placed}}


def _placed(place: dict[str, Any], reading: Reading | None) -> dict[str, Any]:
    """A citation with its place in its document; how often its words stand there nobody has looked."""
    if reading is None:
        return place
    geometry = Geometry(reading.pages, reading.layout)
    found = place_at((place["start"], place["end"]), reading.text, geometry, occurrences=1).as_json()
    del found["occurrences"]
    return {**found, **place}
