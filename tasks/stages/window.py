"""What of a model's window is left for the document: the arithmetic of a job's limits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from db.jobs import Job
from docmill.llm.tokens import Counter, counter_for
from docmill.llm.types import Picture
from docmill.settings import ModelTable
from prompts import Excerpt, PromptVersion

__all__ = ["Room", "ladder_model", "output_limit", "room_for", "sent"]


@dataclass(frozen=True, kw_only=True)
class Room:
    """How much of a document a request can hold."""

    counter: Counter
    """Counts as the job's model does."""
    frame: int
    """Tokens of the messages without a document, before anything is learned (:meth:`Counter.estimate`)."""
    tokens: int
    """For the passages of the document, as ``counter`` counts them; 0 where the frame alone is too much."""
    pictures: Sequence[Picture] = ()
    """That are part of the request."""

    def record(self, estimate: int) -> dict[str, int]:
        """Returns what is kept of a choice whose passages have ``estimate`` tokens (:meth:`Counter.estimate`)."""
        whole = self.frame + estimate
        tokens = self.counter.scaled(whole) + self.counter.count_pictures(self.pictures)
        of_pictures = sum(picture.tokens for picture in self.pictures)
        return {"tokens": tokens, "estimate": whole} | ({"picture_tokens": of_pictures} if of_pictures else {})


def room_for(
    job: Job,
    prompt: PromptVersion,
    model: ModelTable,
    learned: Mapping[str, Any],
    pictures: Sequence[Picture] = (),
) -> Room:
    """The room for the document's text in the job's next request, beside pictures of its pages.

    All that earlier requests met is taken into account.
    """
    counter = _counter(job, prompt, model, learned)
    empty = Excerpt(passages=("",), pictures=tuple(pictures))
    frame = counter.estimate_messages(prompt.render(empty, job.params))
    taken = counter.scaled(frame) + counter.count_pictures(pictures)
    tokens = _input_limit(job, prompt, model, counter) - taken
    return Room(counter=counter, frame=frame, tokens=max(0, tokens), pictures=pictures)


def ladder_model(job: Job, prompt: PromptVersion) -> str:
    """The model of the job's present attempt, by its name in the ladder."""
    return job.model or prompt.config.ladder[0]


def output_limit(job: Job, prompt: PromptVersion) -> int:
    """Once an answer was cut off the raised limit stays; what made room in one model's window is that model's."""
    name = ladder_model(job, prompt)
    for entry in reversed(job.history):
        limit = entry.get("max_output_tokens")
        if limit and (entry["kind"] == "truncated" or entry.get("model") == name):
            return int(limit)
    return prompt.config.limits.max_output_tokens


def sent(job: Job, prompt: PromptVersion) -> dict[str, int]:
    """The size of the job's present request, as its history keeps it where size was what failed."""
    chosen = job.context or {}
    # What words count for cannot be told from a request that has pictures besides.
    words = None if chosen.get("pictures") else chosen.get("estimate")
    sizes = {"input_tokens": chosen.get("tokens"), "estimate": words}
    return {name: int(size) for name, size in sizes.items() if size} | {"output_limit": output_limit(job, prompt)}


def _input_limit(job: Job, prompt: PromptVersion, model: ModelTable, counter: Counter) -> int:
    """In tokens of the whole input; the last cut that a provider made necessary included."""
    known = [prompt.config.limits.max_input_tokens]
    if model.context_tokens is not None:
        known.append(counter.within(model.context_tokens - output_limit(job, prompt)))
    cut = _last_cut(job, prompt)
    if cut is not None:
        known.append(int(cut.get("target_tokens") or _half_of_the_document(job, prompt, counter)))
    return min(known)


def _half_of_the_document(job: Job, prompt: PromptVersion, counter: Counter) -> int:
    frame = counter.count_messages(prompt.render(Excerpt(passages=("",)), job.params))
    return frame + (int((job.context or {}).get("tokens", 0)) - frame) // 2


def _counter(job: Job, prompt: PromptVersion, model: ModelTable, learned: Mapping[str, Any]) -> Counter:
    """What the model has said of this very document is worth more than an average over all."""
    counter = counter_for(model.model, learned)
    cut = _last_cut(job, prompt) or {}
    counted, estimate = cut.get("counted_tokens"), cut.get("estimate")
    return counter.told(counted / estimate) if counted and estimate else counter


def _last_cut(job: Job, prompt: PromptVersion) -> Mapping[str, Any] | None:
    """The job's latest failure that made its present model's context smaller."""
    name = ladder_model(job, prompt)
    # A model that takes no pictures is shown the text instead, and all of it.
    sized = (entry for entry in reversed(job.history) if entry["kind"] != "bad_request")
    cuts = (entry for entry in sized if entry.get("remedy") == "cut_context")
    return next((entry for entry in cuts if entry.get("model") == name), None)
