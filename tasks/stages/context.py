"""Context: what the model is shown of the document, and of a collection, and what is left out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from db import chunks, model_state, transitions
from db.chunks import Place
from db.jobs import Document, Job
from db.search import Hit
from docmill.errors import CollectionUnknown, EmbeddingAway, Failure, Misconfigured, Unreadable
from docmill.llm.tokens import Counter, counter_for
from docmill.llm.types import Picture
from docmill.reading.drawn import Busy
from docmill.retrieval.fitting import fitting, left_out
from docmill.retrieval.offline import embed_offline
from docmill.settings import ModelTable
from prompts import Excerpt, PromptVersion
from tasks import remedies
from tasks.calls.embedding import remedied
from tasks.pinning import prompt_of
from tasks.question import Asker, passages_for
from tasks.services import Services
from tasks.stages.parting import in_parts
from tasks.stages.seeing import Look, look, pictures_in
from tasks.stages.step import Step, Stop, fail, go_on
from tasks.stages.window import Room, ladder_model, room_for

__all__ = ["context", "excerpt_of", "found_places"]

BUSY_S = 2.0
"""After so long a job asks again whose pages could not be drawn, because others' were."""
BUDGET_S = 60.0
"""After so long a job whose question no budget covers looks again."""
LONGEST_QUESTION = 2000
"""Characters of a document that a collection is searched for."""


def context(services: Services, job: Job) -> Step:
    """Chooses passages that fit the prompt's and the model's limits, and records what does not."""
    prompt = prompt_of(services, job)
    document = job.document
    if document is None or document.text is None:
        return _gone(services, job)
    seen = _seen(services, job, prompt)
    if not isinstance(seen, Look):
        return seen
    job = replace(job, model=seen.model if seen.model != ladder_model(job, prompt) else job.model)
    room = _room(services, job, prompt, seen.pictures)
    text = document.text if seen.shows_text else ""
    if room.tokens == 0:
        return _no_room(services, job)
    chosen = _chosen(services, job, prompt, Shown(text=text, whole=document, room=room, seen=seen))
    if not isinstance(chosen, dict):
        return chosen
    chosen |= seen.record
    return services.database.run(
        go_on, job, "complete", message_s=services.message_s, context=chosen, model=job.model
    )


@dataclass(frozen=True, kw_only=True)
class Shown:
    """A document, its text as far as that is shown, and the room for it beside its pictures."""

    text: str
    whole: Document
    room: Room
    seen: Look


def _chosen(services: Services, job: Job, prompt: PromptVersion, shown: Shown) -> dict[str, Any] | Step:
    """The record of what is shown: the document in parts, or the passages that fit."""
    if shown.seen.shows_text and not shown.seen.pictures:
        parted = in_parts(shown.text, shown.room, prompt, job, pages=shown.whole.pages or ())
        if parted is not None:
            return _failed(services, job, parted) if isinstance(parted, Failure) else parted
    found = _found(services, job, prompt, shown.text or shown.whole.text or "")
    if not isinstance(found, list):
        return found
    fitting_ones = _fitting(found, shown.text, shown.room, prompt)
    return choose(shown.text, shown.room, prompt.asked(job.params), fitting_ones)


def _seen(services: Services, job: Job, prompt: PromptVersion) -> Look | Step:
    """What is shown as pictures, or what is done where that cannot be."""
    try:
        seen = look(services, job, prompt)
    except Unreadable as error:
        return _failed(services, job, Failure(kind="unreadable", message=str(error)), error.kind)
    except Busy:
        return services.database.run(remedies.wait, job, BUSY_S, "pages")
    return _failed(services, job, seen) if isinstance(seen, Failure) else seen


def choose(text: str, room: Room, asked: Sequence[str], found: Sequence[Hit] = ()) -> dict[str, Any]:
    """The record of the choice: ``passages`` as offsets in the text, tokens, and what was left out.

    A document that fits beside what was ``found`` in a collection is shown whole; of another, the passages that
    say most about what is ``asked``.
    """
    numbered = Excerpt(passages=(), found=tuple(hit.text for hit in found))
    numbered_tokens = room.counter.estimate(numbered.numbered) if found else 0
    spans = fitting(
        text,
        asked,
        tokens=room.tokens - room.counter.scaled(numbered_tokens),
        counter=room.counter,
        embed=embed_offline,
        gap_tokens=room.counter.count(Excerpt.GAP),
    )
    rest = left_out(text, spans)
    shown = Excerpt(passages=tuple(text[start:end] for start, end in spans))
    return {
        "passages": spans,
        **room.record(room.counter.estimate(shown.text) + numbered_tokens),
        "left_out": rest,
        "left_out_chars": sum(end - start for start, end in rest),
        "found": [{"document_id": hit.document_id, "start": hit.start, "end": hit.end} for hit in found],
    }


def excerpt_of(services: Services, job: Job, text: str) -> Excerpt:
    """The chosen passages' words; those of a collection are looked up."""
    chosen = job.context or {"passages": [(0, len(text))]}
    passages = tuple(text[start:end] for start, end in chosen["passages"])
    places, pictures = found_places(chosen), pictures_in(chosen)
    if not places:
        return Excerpt(passages=passages, pictures=pictures)
    found = services.database.run(chunks.texts_at, job.tenant, places)
    return Excerpt(passages=passages, found=tuple(found), pictures=pictures)


def found_places(chosen: Mapping[str, Any]) -> list[Place]:
    """Where the passages of a collection stand that were found, in the order of their numbers."""
    return [Place(**place) for place in chosen.get("found", ())]


def _found(services: Services, job: Job, prompt: PromptVersion, text: str) -> list[Hit] | Step:
    """Passages of the prompt's collection, the best first, or what is done where it cannot be searched."""
    collection = prompt.collection(job.params)
    if collection is None:
        return []
    asker = Asker(tenant=job.tenant, feature=job.feature, usr=job.usr, lane=job.lane)
    words = prompt.question(job.params) or text[:LONGEST_QUESTION]
    limit = prompt.config.retrieval.passages
    try:
        return passages_for(services, collection, words, asker=asker, limit=limit)
    except EmbeddingAway as away:
        return _unasked(services, job, away)
    except (CollectionUnknown, Misconfigured) as error:
        return _failed(services, job, Failure(kind="bad_request", message=str(error)))


def _unasked(services: Services, job: Job, away: EmbeddingAway) -> Step:
    """The question has no vector for now."""
    if away.failure.kind == "budget":
        services.database.run(transitions.hold, job, "rate", for_s=BUDGET_S)
        return Stop("held: budget")
    return services.database.run(remedied, job, services.settings.models.get(away.model), away.failure)


def _fitting(found: Sequence[Hit], text: str, room: Room, prompt: PromptVersion) -> list[Hit]:
    """The best of them that fit: the document has half of the room, as far as it needs it."""
    left = min(
        prompt.config.retrieval.tokens,
        room.tokens - min(room.counter.count(text), room.tokens // 2),
    )
    kept: list[Hit] = []
    for hit in found:
        if _numbered_tokens([*kept, hit], room.counter) <= left:
            kept.append(hit)
    return kept


def _numbered_tokens(hits: Sequence[Hit], counter: Counter) -> int:
    return counter.count(Excerpt(passages=(), found=tuple(hit.text for hit in hits)).numbered)


def _room(services: Services, job: Job, prompt: PromptVersion, pictures: Sequence[Picture]) -> Room:
    model = services.settings.models.find(ladder_model(job, prompt))
    return room_for(job, prompt, model, _learned(services, model, pictures), pictures)


def _learned(services: Services, model: ModelTable, pictures: Sequence[Picture]) -> Mapping[str, Any]:
    """Nothing needs to be looked up of a model whose tokenizer is public, and that is shown no pictures."""
    if counter_for(model.model).encoding is not None and not pictures:
        return {}
    return services.database.run(model_state.state_of, model).learned


def _no_room(services: Services, job: Job) -> Step:
    message = "the prompt alone fills the model's window: use a shorter prompt, or a ladder with a larger window"
    return _failed(services, job, Failure(kind="context_overflow", message=message))


def _gone(services: Services, job: Job) -> Step:
    return _failed(services, job, Failure(kind="unreadable", message="the document was deleted"), "empty")


def _failed(services: Services, job: Job, failure: Failure, detail: str = "") -> Step:
    return services.database.run(fail, job, failure, detail=detail)
