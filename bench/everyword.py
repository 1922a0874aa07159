"""Whether each word that lies in a file is in the text that is read of it, or counted in a warning.

Usage: ``python -m bench.everyword [PATH…] [--show]``; files, or folders of which all files are looked at, by
default those of ../shared/data. The package itself is walked, without any of the readers' rules: each text node
of each part of an Office file, each part of a mail, and of a PDF each content stream, as ``pdftotext`` of poppler
reads it, and each annotation (``pip install pypdf``). Words that a format says were struck out are nobody's to
see; all others that the text lacks are told, beside what the reading warns of.
"""

from __future__ import annotations

import argparse
import base64
import codecs
import email
import importlib
import io
import re
import shutil
import subprocess
import zipfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from email import policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import lxml.html
from lxml import etree

from docmill.errors import Unreadable
from docmill.reading import Reader, media
from docmill.reading.values import Reading

__all__ = ["Lost", "lost_words"]

DATA = Path("../shared/data")
FOLDERS = ("3_formats/dev", "1_structured_fields", "7_reported")
LEAVING_OUT = frozenset({"hidden", "hidden_sheet", "embedded", "attachment", "page_broken", "garbled", "ocr_off"})
"""Warnings of words that are not in the text."""
_WORD = re.compile(r"[^\W_]+")

UNSAID = re.compile(
    r"_rels/|docProps/|customXml/|\[Content_Types\]|META-INF/|(?:^|/)(?:theme|styles|settings|stylesWithEffects|fontTable"
    r"|webSettings|numbering|meta|manifest|presProps|viewProps|tableStyles|printerSettings|calcChain|metadata"
    r"|connections|commentAuthors|persons?|people|tags?|glossary|colors|commentsExtended|commentsIds"
    r"|commentsExtensible|pivotCache|slideUpdateInfo|handoutMasters|notesMasters|quickStyle|layout)[^/]*(?:/|\.xml|$)",
    re.IGNORECASE,
)
"""Parts that say how a document looks, or what programs remember of it."""
REPEATED = re.compile(r"header|footer|master|layout|text/html", re.IGNORECASE)
"""Places that say what others say as well: a page's furniture, and a mail in another form."""
STRUCK_OUT = frozenset({"del", "moveFrom", "delText", "instrText", "delInstrText", "tracked-changes", "rPh"})
PARAGRAPHS = frozenset({"p", "h", "si", "is", "comment", "threadedComment", "cm", "ser", "title", "v"})


@dataclass(frozen=True, kw_only=True)
class Lost:
    """Words of a part that are not in the text."""

    where: str
    words: tuple[str, ...]


def lost_words(body: bytes, reading: Reading) -> list[Lost]:
    """Returns the words that lie in a file, by where they lie, and that a reading of it lacks."""
    if reading.media_type == media.PDF:
        return list(_lost_of_pdf(body, reading))
    return list(_missing(_said(body, reading.media_type), reading.text))


def _said(body: bytes, kind: str) -> Iterator[tuple[str, str]]:
    """Each place that has words, and its words."""
    if kind == media.EMAIL:
        plain = body.removeprefix(codecs.BOM_UTF8).lstrip()
        yield from _mail(email.message_from_bytes(plain, policy=policy.default), "mail")
    elif kind == media.HTML:
        yield "page", _visible(body)
    elif body.startswith(b"PK"):
        yield from _package(body, kind)


def _missing(said: Iterable[tuple[str, str]], text: str) -> Iterator[Lost]:
    """Words that a file has more often than the text; furniture that is repeated is asked for once."""
    have = Counter(_words(text))
    left, glued = have.copy(), "".join(_words(text))
    for where, words in said:
        repeated = REPEATED.search(where) is not None
        missing = []
        for word in _words(words):
            left[word] -= not repeated
            # A word that a program divided, or that stands beside a mark of ours, is found in all that is glued.
            enough = have[word] > 0 if repeated else left[word] >= 0
            if not enough and (word not in glued or (len(word) > 3 and not repeated and glued.count(word) < 2)):
                missing.append(word)
        if missing:
            yield Lost(where=where, words=tuple(missing))


def _words(text: str) -> list[str]:
    return _WORD.findall(text.replace("\xad", "").casefold())


# --- Office packages ---


def _package(body: bytes, kind: str) -> Iterator[tuple[str, str]]:
    with zipfile.ZipFile(io.BytesIO(body)) as archive:
        trees = {
            name: etree.fromstring(archive.read(name), etree.XMLParser(resolve_entities=False, recover=True))
            for name in archive.namelist()
            if name.endswith(".xml") and not UNSAID.search(name)
        }
        if kind == media.ODT:
            trees["styles.xml"] = etree.fromstring(archive.read("styles.xml"))
    for name, root in trees.items():
        if kind == media.XLSX and re.search(r"sharedStrings|workbook\.xml", name):
            continue
        if kind == media.XLSX and "/worksheets/" in name:
            yield from _sheet(name, root, trees)
        elif root is not None:
            yield from _paragraphs(name, root)


def _paragraphs(name: str, root: Any) -> Iterator[tuple[str, str]]:
    """Each element that holds words, with all that is in it and in no other such element."""
    found: dict[Any, list[str]] = {}
    for element in root.iter():
        words = [element.text or ""] if isinstance(element.tag, str) else []
        if _local(element) == "textpath":
            words.append(element.get("string") or "")
        for holder, said in ((element, words), (element.getparent(), [element.tail or ""])):
            if any(word.strip() for word in said) and not _is_unsaid(holder):
                found.setdefault(_paragraph_of(holder), []).extend(said)
    for paragraph, parts in found.items():
        yield f"{name}:{_path(paragraph)}", "".join(parts)


def _is_unsaid(element: Any) -> bool:
    names = {_local(each) for each in (element, *element.iterancestors())}
    if names & STRUCK_OUT or (names & {"Fallback"} and "AlternateContent" in names):
        return True
    if _is_prompt(element):
        return True
    # Numbers that are coordinates, and settings that are written as texts.
    return _local(element) in UNSEEN_TEXTS or _local(element.getparent()) in UNSEEN_TEXTS


def _is_prompt(element: Any) -> bool:
    """Whether it stands in a placeholder of a slide's layout, of which a slide has its own."""
    shapes = [each for each in element.iterancestors() if _local(each) == "sp"]
    root = _local(element.getroottree().getroot())
    return root in ("sldMaster", "sldLayout") and any(_local(each) == "ph" for sp in shapes for each in sp.iter())


UNSEEN_TEXTS = frozenset(
    {
        *("posOffset", "pctWidth", "pctHeight", "pctPosHOffset", "pctPosVOffset", "f", "formatCode"),
        *("fldData", "binData", "align", "creationId", "modId", "uri", "extLst", "ext", "date", "creator"),
        *("attrName", "Id", "text-properties", "sequence-decls", "forms", "binary-data", "numFmt", "lang"),
        *("externalData", "from", "to", "col", "row", "colOff", "rowOff", "ptCount", "idx", "author"),
        *("authors", "script", "sender-initials", "date-string", "number", "strVal", "annotation", "desc"),
    }
)
"""Elements whose text is a setting or a coordinate."""


def _paragraph_of(element: Any) -> Any:
    for each in (element, *element.iterancestors()):
        if _local(each) in PARAGRAPHS:
            return each
    return element


def _sheet(name: str, root: Any, trees: dict[str, Any]) -> Iterator[tuple[str, str]]:
    strings = [
        "".join(each.text or "" for each in item.iter() if _local(each) == "t" and not _is_unsaid(each))
        for part, tree in trees.items()
        if "sharedStrings" in part
        for item in tree
    ]
    for cell in (each for each in root.iter() if _local(each) == "c"):
        value = next((each.text or "" for each in cell if _local(each) == "v"), "")
        if cell.get("t") in (None, "n") and value and cell.get("s") in (None, "0"):
            yield f"{name}:{cell.get('r')}", f"{float(value):.15g}"
        elif cell.get("t") == "s" and value.isdigit():
            yield f"{name}:{cell.get('r')}", strings[int(value)]
        elif cell.get("t") in ("str", "inlineStr"):
            yield f"{name}:{cell.get('r')}", value or "".join(cell.itertext())
    for part in (each for each in root.iter() if _local(each) in ("oddHeader", "oddFooter", "evenHeader")):
        yield f"{name}:{_local(part)}", re.sub(r"&(?:\"[^\"]*\"|\d+|[A-Za-z])", " ", part.text or "")


def _local(element: Any) -> str:
    return element.tag.rpartition("}")[2] if element is not None and isinstance(element.tag, str) else ""


def _path(element: Any) -> str:
    return "/".join(reversed([_local(each) for each in (element, *element.iterancestors())][:4]))


# --- mails and pages ---


def _mail(message: EmailMessage, where: str) -> Iterator[tuple[str, str]]:
    for name in ("From", "To", "Cc", "Subject"):
        if message[name]:
            yield f"{where}:{name}", str(message[name])
    for number, part in enumerate(message.iter_parts() if message.is_multipart() else [message]):
        kind = part.get_content_type()
        if part.get("content-transfer-encoding") == "base64" and kind == "message/rfc822":
            inner = base64.b64decode(part.as_bytes().partition(b"\n\n")[2])
            yield from _mail(email.message_from_bytes(inner, policy=policy.default), f"{where}/{number}")
        elif kind == "message/rfc822" or part.is_multipart():
            yield from _mail(part, f"{where}/{number}")  # type: ignore[arg-type] # all parts are of one class
        elif part.get_content_maintype() == "text":
            content = part.get_payload(decode=True)
            assert isinstance(content, bytes)
            charset = part.get_content_charset("utf-8")
            try:
                said = content.decode(charset)
            except (LookupError, UnicodeDecodeError):
                continue
            yield f"{where}/{number}:{kind}", _visible(content) if kind == "text/html" else said


def _visible(page: bytes) -> str:
    tree = lxml.html.document_fromstring(page)
    etree.strip_elements(tree, "script", "style", "template", etree.Comment, with_tail=False)
    return " ".join(tree.itertext())


# --- PDF ---


def _lost_of_pdf(body: bytes, reading: Reading) -> Iterator[Lost]:
    ran = subprocess.run(["pdftotext", "-raw", "-", "-"], input=body, capture_output=True, check=False)
    pages = ran.stdout.decode("utf-8", errors="replace").split("\f")
    edges = [*reading.pages, len(reading.text)]
    for number, page in enumerate(pages[: len(reading.pages)]):
        text = reading.text[edges[number] : edges[number + 1]]
        glued = "".join(_words(text)).replace("_", "")
        gone = tuple(word for word in _words(page) if word.strip("_") not in glued and not _is_glued(word, glued))
        if gone:
            yield Lost(where=f"page {number + 1}", words=gone)
    glued = "".join(_words(reading.text))
    for where, words in _annotations(body):
        gone = tuple(word for word in _words(words) if word not in glued)
        if gone:
            yield Lost(where=where, words=gone)


def _is_glued(word: str, text: str) -> bool:
    """Whether two halves of a word stand in the text: the other reader may join what stands in two cells."""
    return len(word) > 3 and any(word[:at] in text and word[at:] in text for at in range(2, len(word) - 1))


def _annotations(body: bytes) -> Iterator[tuple[str, str]]:
    try:
        pypdf = importlib.import_module("pypdf")
    except ImportError:
        return
    try:
        for number, page in enumerate(pypdf.PdfReader(io.BytesIO(body)).pages):
            for reference in page.get("/Annots") or ():
                annotation = reference.get_object()
                flags = int(annotation.get("/F", 0))
                for key in ("/Contents", "/V"):
                    value = annotation.get(key)
                    if isinstance(value, str) and not flags & 2 and not value.startswith("/"):
                        yield f"page {number + 1}, {annotation.get('/Subtype')} {key}", value
    except Exception as error:  # noqa: BLE001 - a broken file breaks the other reader in any way
        print(f"  (pypdf: {type(error).__name__})")


# --- over files ---


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("paths", nargs="*", type=Path, default=[DATA / folder for folder in FOLDERS])
    options.add_argument("--show", action="store_true", help="name the words of each file")
    given = options.parse_args()
    if shutil.which("pdftotext") is None:
        raise SystemExit("pdftotext is missing: as on Debian, `apt-get install poppler-utils`")
    totals: dict[str, Counter[str]] = {}
    with Reader() as reader:
        for file in _files(given.paths):
            _judge(reader, file, totals, show=given.show)
    print(f"\n{'':<10}" + "".join(f"{name:>12}" for name in COLUMNS))
    for kind, counts in sorted(totals.items()):
        print(f"{kind:<10}" + "".join(f"{counts[name]:>12}" for name in COLUMNS))


COLUMNS = ("files", "whole", "told", "silent", "refused")


def _files(paths: Sequence[Path]) -> Iterator[Path]:
    for path in paths:
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if file.is_file() and file.name not in ("gold.jsonl", "README", "expected.json", "MANIFEST.md"):
                yield file


def _judge(reader: Reader, file: Path, totals: dict[str, Counter[str]], *, show: bool) -> None:
    body = file.read_bytes()
    suffix = file.suffix[1:] or "none"
    counts = totals.setdefault(suffix, Counter())
    counts["files"] += 1
    try:
        reading = reader.read_bytes(body, file.name)
    except Unreadable as error:
        counts["refused"] += 1
        if show:
            print(f"{file.name}: {error.kind}: {error}"[:150])
        return
    lost = lost_words(body, reading)
    told = any(warning.kind in LEAVING_OUT for warning in reading.warnings)
    end = ("told" if told else "silent") if lost else "whole"
    counts[end] += 1
    if lost and (show or end == "silent"):
        print(f"{file.parent.name}/{file.name}: {end}; {reading.warning}")
        for each in lost[:12]:
            print(f"    {each.where}: {' '.join(each.words)[:160]}")


if __name__ == "__main__":
    main()
