"""Which pages a model is shown as pictures, at which resolution, and which of the ladder's models can see them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any, Protocol

from db import documents, model_state
from db.jobs import Document, Job
from docmill.errors import Failure, Unreadable
from docmill.llm.sight import Sight, sees, sight_of
from docmill.llm.types import Picture
from docmill.llm.wire.repairs import takes_images
from docmill.reading import Reading, media
from docmill.reading.drawn import Drawn
from docmill.reading.layout.geometry import BLANK, PageLayout
from docmill.settings import Settings
from prompts import PromptVersion
from tasks.services import Services
from tasks.stages.window import ladder_model

__all__ = [
    "Eyes",
    "Look",
    "Page",
    "dots_an_inch",
    "fetched",
    "is_drawn",
    "look",
    "look_at",
    "pages_of",
    "picture_of",
    "pictures_in",
    "to_be_seen",
]

LEAST_DOTS, LEAST_DOTS_OF_OCR = 18, 24
"""Of a word's height, so that a model reads it surely; photographs are unsharp."""
SMALLEST_SHARE = 10
"""A page is drawn for the tenth of its words with the lowest letters: marks and dashes are lower still."""
FEWEST, USUAL, MOST = 100, 150, 300
"""Dots an inch: of a page in large letters, of one whose letters are not known, and for the smallest."""
PATIENCE_S = 10.0
"""So long a thread waits for others' pages to be drawn."""


@dataclass(frozen=True, kw_only=True)
class Page:
    """A page of a document, with what is known of its text."""

    number: int
    """From 1."""
    start: int
    end: int
    """Where its text stands in the document's."""
    text: str = field(repr=False)
    layout: PageLayout = BLANK

    @property
    def is_read(self) -> bool:
        """Whether there is a text of it, its own or what OCR found."""
        return bool(self.text.strip())

    @property
    def has_own_text(self) -> bool:
        return self.is_read and self.layout.by == "text"


@dataclass(frozen=True, kw_only=True)
class Look:
    """What of a document is shown as pictures, to which model."""

    model: str
    """By its name in the ladder."""
    pictures: Sequence[Picture] = ()
    shows_text: bool = True
    """Whether the document's text is shown beside them."""
    record: Mapping[str, Any] = field(default_factory=dict)
    """What the job's context keeps of it."""


class Eyes(Protocol):
    """What pages are looked at with: a worker's processes and what the fleet learned, or a command's own."""

    @property
    def settings(self) -> Settings:
        """Which models there are."""

    def sees(self, name: str) -> bool:
        """Returns whether the model takes pictures, as far as that is known."""

    def draw(self, page: int, dots: int) -> Drawn:
        """Draws the page, counted from 1, with so many dots an inch. Raises Unreadable, Busy."""


@dataclass(frozen=True, kw_only=True)
class WorkersEyes:
    """A worker's, on a job's document."""

    services: Services
    job: Job

    @property
    def settings(self) -> Settings:
        return self.services.settings

    def sees(self, name: str) -> bool:
        table = self.services.settings.models.find(name)
        learned = self.services.database.run(model_state.state_of, table).learned
        return sees(table.model, told=table.images, met=takes_images(learned)) is True

    def draw(self, page: int, dots: int) -> Drawn:
        return fetched(self.services, self.job.document_id or 0, self.job.tenant, page, dots)


def look(services: Services, job: Job, prompt: PromptVersion) -> Look | Failure:
    """Draws the pages that the prompt's model is to see; a failure where none can, or too many are wanted.

    Raises Unreadable, and Busy where others' pages are drawn for too long.
    """
    return look_at(_pages(services, job, prompt), WorkersEyes(services=services, job=job), job, prompt)


def look_at(pages: Sequence[Page], eyes: Eyes, job: Job, prompt: PromptVersion) -> Look | Failure:
    """As :func:`look`, at the pages of the job's document, which are none where it cannot be drawn."""
    see = prompt.config.input.see
    wanted, plain = to_be_seen(see, pages), Look(model=ladder_model(job, prompt))
    if not wanted:
        return plain
    can_do_without = see == "auto" and all(page.is_read for page in wanted)
    model = _model_with_eyes(eyes, job, prompt)
    if model is None:
        return plain if can_do_without else _no_eyes(prompt)
    try:
        seen = _seen(eyes, job.document_id or 0, wanted, model)
    except TooMuch as beyond:
        told = f"the document cannot be shown as pictures: {beyond}"
        unseen = replace(plain, record={"unseen": told})
        return unseen if can_do_without else Failure(kind="context_overflow", message=told)
    return _alone(seen, pages) if see == "pages" else seen


class TooMuch(Exception):
    """A request does not hold the pictures; the message says why."""


def _pages(services: Services, job: Job, prompt: PromptVersion) -> list[Page]:
    """The pages of a document that can be drawn, where the prompt wants to show some."""
    if prompt.config.input.see == "text" or job.document is None or not is_drawn(job.document):
        return []
    reading = services.database.run(documents.reading_of, job.document.id, job.tenant)
    return pages_of(reading) if reading is not None and is_drawn(reading) else []


def _seen(eyes: Eyes, document: int, wanted: Sequence[Page], model: str) -> Look:
    """The pages drawn for the model, with what is kept of them. Raises TooMuch, Unreadable, Busy."""
    table = eyes.settings.models.find(model)
    sight = sight_of(table.provider, table.model)
    if len(wanted) > sight.most_pictures:
        raise TooMuch(sight.refusal([(1, 1)] * len(wanted), [1] * len(wanted)))
    pictures = [picture_of(document, page, sight, eyes.draw, beside=len(wanted) - 1) for page in wanted]
    sizes = [(each.width, each.height) for each in pictures]
    beyond = sight.refusal(sizes, [each.size for each in pictures])
    if beyond is not None:
        raise TooMuch(beyond)
    record = {
        "pictures": [{**each.as_json(), **_figures(each)} for each in pictures],
        "unread": [page.number for page in wanted if not page.is_read],
    }
    return Look(model=model, pictures=pictures, record=record)


def _alone(seen: Look, pages: Sequence[Page]) -> Look:
    """The pictures without the text, which is kept to hold answers against."""
    record = {**seen.record, "seen": [(pages[0].start, pages[-1].end)]}
    return replace(seen, shows_text=False, record=record)


def _figures(picture: Picture) -> dict[str, int]:
    return {"size": picture.size, "tokens": picture.tokens, "most_tokens": picture.most_tokens}


def pictures_in(chosen: Mapping[str, Any]) -> tuple[Picture, ...]:
    """The pictures of a context, without their bytes."""
    return tuple(Picture(**entry) for entry in chosen.get("pictures", ()))


def pages_of(reading: Reading) -> list[Page]:
    """The pages of a reading, in order; what follows the last page's text belongs to it."""
    layouts = reading.layout or [BLANK] * len(reading.pages)
    spans = pairwise([*reading.pages, len(reading.text)])
    return [
        Page(number=number, start=start, end=end, text=reading.text[start:end], layout=layout)
        for number, ((start, end), layout) in enumerate(zip(spans, layouts, strict=True), start=1)
    ]


def to_be_seen(see: str, pages: Sequence[Page]) -> list[Page]:
    """The pages that are shown as pictures: none of a document that has no pages to be drawn."""
    return [page for page in pages if see in ("pages", "both") or (see == "auto" and not page.has_own_text)]


def dots_an_inch(layout: PageLayout) -> int:
    """With how many dots an inch a page is drawn, so that its smallest letters are read."""
    try:
        heights = sorted((word.y1 - word.y0) * layout.height for word in layout.words())
    except ValueError:
        heights = []
    if not heights:
        return USUAL
    small = max(heights[len(heights) // SMALLEST_SHARE], 0.1)
    least = LEAST_DOTS_OF_OCR if layout.by == "ocr" else LEAST_DOTS
    return max(FEWEST, min(MOST, math.ceil(72 * least / small)))


def fetched(services: Services, document_id: int, tenant: str, page: int, dots: int) -> Drawn:
    """Fetches a page's picture, drawn where it is not kept. Raises Unreadable, Busy."""
    if services.pages is None:
        raise RuntimeError("this worker draws no pages: context and complete belong to the io queues")

    def fetch() -> tuple[bytes, str | None, str | None]:
        found = services.database.run(documents.original, document_id, tenant)
        if found is None or found.body is None:
            raise Unreadable("empty", "its content was erased: submit it again")
        return bytes(found.body), found.name, found.media_type

    return services.pages.page((tenant, document_id), page, dots_an_inch=dots, fetch=fetch, patience_s=PATIENCE_S)


def picture_of(
    document_id: int, page: Page, sight: Sight, draw: Callable[[int, int], Drawn], *, beside: int
) -> Picture:
    """The page at the resolution that its letters need, and no larger than the model sees, beside so many others.

    ``draw`` takes the page's number and dots an inch. Raises what it raises.
    """
    dots = dots_an_inch(page.layout)
    while True:
        drawn = draw(page.number, dots)
        wide, high = sight.kept(drawn.width, drawn.height, beside=beside)
        if (wide, high) == (drawn.width, drawn.height) or dots <= 1:
            return _picture(document_id, page, dots, drawn, sight)
        share = min(wide / drawn.width, high / drawn.height)
        dots = max(1, min(dots - 1, math.floor(dots * share)))


def _picture(document_id: int, page: Page, dots: int, drawn: Drawn, sight: Sight) -> Picture:
    return Picture(
        document_id=document_id,
        page=page.number,
        dots_an_inch=dots,
        width=drawn.width,
        height=drawn.height,
        media_type=drawn.media_type,
        sha256=drawn.sha256,
        size=len(drawn.content),
        detail=sight.detail,
        tokens=sight.tokens(drawn.width, drawn.height),
        most_tokens=sight.most_tokens(drawn.width, drawn.height),
    )


def is_drawn(reading: Reading | Document) -> bool:
    """Returns whether a document has pages that can be drawn."""
    return reading.media_type == media.PDF or reading.media_type in media.PICTURES


def _model_with_eyes(eyes: Eyes, job: Job, prompt: PromptVersion) -> str | None:
    """The job's model, or the next of its ladder that takes pictures; else the first that does."""
    ladder = prompt.config.ladder
    present = ladder_model(job, prompt)
    above = ladder[ladder.index(present) :] if present in ladder else ()
    return next((name for name in (*above, *ladder) if eyes.sees(name)), None)


def _no_eyes(prompt: PromptVersion) -> Failure:
    named = ", ".join(prompt.config.ladder)
    message = (
        f"the document has pages to be seen, and no model of prompt {prompt}'s ladder ({named}) is known to take "
        "pictures: set images = true under [models.NAME] in docmill.toml for one that does"
    )
    return Failure(kind="bad_request", message=message)
