"""XML that holds data to text: a line a value, under the names of the elements that it stands in."""

from __future__ import annotations

from collections.abc import Iterator

from lxml import etree

from docmill.errors import Unreadable
from docmill.reading.cleaning import clean
from docmill.reading.media import XML
from docmill.reading.package import Element, local
from docmill.reading.values import Limits, Reading, reading_of, require_length

__all__ = ["data_lines", "read_body"]

NAMES_SHOWN = 3
"""Of the elements around a value, from the innermost."""


def read_body(body: bytes, *, charset: str | None, limits: Limits) -> Reading:  # noqa: ARG001 - XML names its own
    """Reads the values under their names. Raises Unreadable: corrupt, too_large, unsupported (entities)."""
    text = clean("\n".join(data_lines(body)))
    require_length(len(text), limits)
    return reading_of(text, XML)


def data_lines(body: bytes, within: str | None = None) -> Iterator[str]:
    """Yields a line for each text and each attribute: ``Invoice/Total: 310.40 (currency EUR)``.

    ``within`` names the element that alone is looked at.

    Raises Unreadable: corrupt, unsupported (entities of its own, which bombs are made of).
    """
    parser = etree.XMLParser(
        resolve_entities=False, no_network=True, load_dtd=False, remove_comments=True, remove_pis=True
    )
    try:
        root = etree.fromstring(body.strip(), parser)
    except (etree.LxmlError, ValueError) as error:
        raise Unreadable("corrupt", f"the XML is broken ({type(error).__name__})") from error
    if _points_elsewhere(root):
        raise Unreadable("unsupported", "the XML declares entities or a DTD elsewhere, which are not followed")
    if within is None or local(root) == within:
        yield from _lines(root)
        return
    for element in root.iter():
        if local(element) == within:
            yield from _lines(element)


def _points_elsewhere(root: Element) -> bool:
    """Whether what the document says depends on what others hold, or on names of its own for texts."""
    described = root.getroottree().docinfo
    entities = () if described.internalDTD is None else described.internalDTD.iterentities()
    return described.system_url is not None or any(True for _ in entities)


def _lines(root: Element) -> Iterator[str]:
    names: list[str] = []
    for event, element in etree.iterwalk(root, events=("start", "end")):
        if event == "end":
            names.pop()
            tail = " ".join((element.tail or "").split())
            if tail:
                yield f"{'/'.join(names[-NAMES_SHOWN:])}: {tail}"
            continue
        names.append(local(element))
        words = " ".join((element.text or "").split())
        said = ", ".join(f"{key.rpartition('}')[2]} {value}" for key, value in element.attrib.items())
        if words or (said and len(element) == 0):
            yield f"{'/'.join(names[-NAMES_SHOWN:])}: {words}{f' ({said})' if said else ''}"
