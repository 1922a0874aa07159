"""PowerPoint presentations to text: each slide with its tables, charts and diagrams, notes and comments."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from docmill.errors import Unreadable
from docmill.reading.cleaning import clean
from docmill.reading.drawing import drawn_lines, shape_lines, table_lines
from docmill.reading.media import PPTX
from docmill.reading.package import Element, Package, Part, attribute, children, first, local
from docmill.reading.values import Limits, Reading, WarningKind, reading_of, require_length, warnings_of

PAGE_BREAK = "\n\n"


def read_body(body: bytes, *, charset: str | None, limits: Limits) -> Reading:  # noqa: ARG001 - formats share a shape
    """The presentation's text, a page a slide. Raises Unreadable: encrypted, corrupt, too_large."""
    package = Package(body)
    unread: Counter[WarningKind] = Counter()
    told: set[str] = set()
    try:
        slides = [
            clean("\n".join(_slide_lines(package, slide, unread, told))) for slide in _slides(package, unread)
        ]
    except (ValueError, RecursionError) as error:
        raise Unreadable(
            "corrupt", f"it is no whole presentation ({type(error).__name__}): save it again"
        ) from error
    starts, at = [], 0
    for text in slides:
        starts.append(at)
        at += len(text) + len(PAGE_BREAK)
    require_length(at, limits)
    return reading_of(PAGE_BREAK.join(slides), PPTX, pages=tuple(starts), warnings=warnings_of(unread))


def _slides(package: Package, unread: Counter[WarningKind]) -> Iterator[Part]:
    """The slides in the order of the show; hidden ones are not shown."""
    listed = first(package.main.root, "sldIdLst")
    for reference in () if listed is None else children(listed, "sldId"):
        slide = package.referred(package.main, _relationship(reference))
        if slide is None:
            continue
        if attribute(slide.root, "show") in ("0", "false"):
            unread["hidden"] += 1
        else:
            yield slide


def _relationship(reference: Element) -> str | None:
    """``r:id``, and not the slide's own ``id``."""
    return next((str(value) for key, value in reference.attrib.items() if key.endswith("}id")), None)


def _slide_lines(package: Package, slide: Part, unread: Counter[WarningKind], told: set[str]) -> Iterator[str]:
    yield from _shapes(package, slide, slide.root, unread)
    yield from _furniture(package, slide, unread, told)
    for notes in package.related(slide, "notesSlide"):
        yield from _notes(notes)
    for kind in ("comments", "comment"):
        for comments in package.related(slide, kind):
            for comment in (each for each in comments.root.iter() if local(each) == "cm"):
                words = " ".join(
                    each.text for each in comment.iter() if local(each) in ("t", "text") and each.text
                )
                yield f"Comment: {words}"


def _furniture(package: Package, slide: Part, unread: Counter[WarningKind], told: set[str]) -> Iterator[str]:
    """What a slide shows of its layout and master, with the first slide that shows it: names, notices, logos."""
    behind = slide
    for kind in ("slideLayout", "slideMaster"):
        part = next(package.related(behind, kind), None)
        if part is None or attribute(behind.root, "showMasterSp") in ("0", "false"):
            return
        if part.name not in told:
            told.add(part.name)
            yield from _shapes(package, part, part.root, unread)
        behind = part


def _is_prompt(element: Element) -> bool:
    """Whether it is the place of a layout's for what slides bring themselves."""
    layout = local(element.getroottree().getroot()) in ("sldLayout", "sldMaster")
    return layout and local(element) == "sp" and first(element, "nvSpPr", "nvPr", "ph") is not None


def _shapes(package: Package, slide: Part, container: Element, unread: Counter[WarningKind]) -> Iterator[str]:
    for element in container:
        name = local(element)
        if _is_prompt(element):
            continue
        if _is_hidden(element):
            unread["hidden"] += any(local(each) == "t" for each in element.iter())
        elif name == "txBody":
            yield from shape_lines(element)
        elif name == "tbl":
            yield from table_lines(element, unread)
        elif name == "graphicData":
            yield from drawn_lines(package, slide, element)
            yield from _shapes(package, slide, element, unread)
        else:
            unread["picture"] += name == "blip"
            unread["embedded"] += name == "oleObj"
            yield from _shapes(package, slide, element, unread)


def _is_hidden(element: Element) -> bool:
    """Switched off in the list of a slide's shapes."""
    for child in element:
        properties = first(child, "cNvPr") if local(child).startswith("nv") else None
        if properties is not None and attribute(properties, "hidden") in ("1", "true"):
            return True
    return False


def _notes(notes: Part) -> Iterator[str]:
    """What the speaker wrote; the page's number and date are no part of it."""
    for shape in (each for each in notes.root.iter() if local(each) == "sp"):
        holder = first(shape, "nvSpPr", "nvPr", "ph")
        body = first(shape, "txBody")
        if body is not None and (holder is None or attribute(holder, "type") in (None, "body", "obj")):
            yield from (line for line in shape_lines(body) if line.strip())
