"""Office packages made up for tests: the parts that are given, and what a package must have beside them."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping, Sequence

__all__ = ["PdfFile", "docx", "odt", "package", "pptx", "relationships", "xlsx"]

RELATIONSHIPS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
NAMESPACES = (
    'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
    ' xmlns:m="http://schemas.openxmlformats.org/officeDocument/2006/math"'
    ' xmlns:mc="http://schemas.openxmlformats.org/markup-compatibility/2006"'
    ' xmlns:wps="http://schemas.microsoft.com/office/word/2010/wordprocessingShape"'
    ' xmlns:v="urn:schemas-microsoft-com:vml"'
    ' xmlns:a="http://schemas.openxmlformats.org/drawingml/2006/main"'
    ' xmlns:p="http://schemas.openxmlformats.org/presentationml/2006/main"'
    f' xmlns:r="{RELATIONSHIPS}"'
)
DRAWING = "http://schemas.openxmlformats.org/drawingml/2006/main"
CHART = 'xmlns:c="http://schemas.openxmlformats.org/drawingml/2006/chart"'
OPEN_DOCUMENT = " ".join(
    f'xmlns:{name}="urn:oasis:names:tc:opendocument:xmlns:{name}:1.0"'
    for name in ("office", "text", "table", "style", "draw")
)


def package(parts: Mapping[str, str]) -> bytes:
    """A zip archive of the parts."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return file.getvalue()


def docx(body: str, *, parts: Mapping[str, str] | None = None, members: Mapping[str, str] | None = None) -> bytes:
    """A Word document with that body; ``parts`` are further ones by kind (``footnotes``, ``header1``), related to it.

    ``members`` are such as lie in the package by their own names.
    """
    main = f"<w:document {NAMESPACES}><w:body>{body}</w:body></w:document>"
    return _office("word/document.xml", main, parts or {}, members or {})


def pptx(*slides: str, parts: Mapping[str, str] | None = None, members: Mapping[str, str] | None = None) -> bytes:
    """A presentation with those shape trees."""
    listed = "".join(f'<p:sldId id="{256 + n}" r:id="slide{n}"/>' for n in range(len(slides)))
    main = f"<p:presentation {NAMESPACES}><p:sldIdLst>{listed}</p:sldIdLst></p:presentation>"
    shows = {
        f"slide{n}": f"<p:sld {NAMESPACES}><p:cSld><p:spTree>{tree}</p:spTree></p:cSld></p:sld>"
        for n, tree in enumerate(slides)
    }
    return _office("ppt/presentation.xml", main, {**shows, **(parts or {})}, members or {})


def xlsx(
    rows: str,
    *,
    workbook: str = "",
    before: str = "",
    after: str = "",
    state: str = "visible",
    hidden: str = "",
    members: Mapping[str, str] | None = None,
    **parts: str,
) -> bytes:
    """A workbook of one sheet with those rows; ``parts`` are further ones by kind, related to the workbook.

    ``hidden`` is a second sheet, which is not shown.
    """
    listed = f'<sheet name="Sheet" state="{state}" r:id="worksheet1"/>'
    listed += '<sheet name="Second" state="hidden" r:id="worksheet2"/>' if hidden else ""
    sheet = f"<worksheet>{before}<sheetData>{rows}</sheetData>{after}</worksheet>"
    main = f"<workbook {NAMESPACES}><sheets>{listed}</sheets>{workbook}</workbook>"
    sheets = {"worksheet1": sheet, **({"worksheet2": hidden} if hidden else {})}
    return _office("xl/workbook.xml", main, {**sheets, **parts}, members or {})


def odt(body: str, *, styles: str = "", members: Mapping[str, str] | None = None) -> bytes:
    """An OpenDocument text with that body; ``styles`` is what stands in its styles."""
    content = (
        f"<office:document-content {OPEN_DOCUMENT}><office:body><office:text>{body}</office:text></office:body>"
    )
    return package(
        {
            "content.xml": f"{content}</office:document-content>",
            "styles.xml": f"<office:document-styles {OPEN_DOCUMENT}>{styles}</office:document-styles>",
            **(members or {}),
        }
    )


def relationships(*names: str) -> str:
    """A part's relationships: to ``chart1.xml`` beside it as a ``chart``, by the id ``chart1``."""
    return _relationships(
        "".join(
            f'<Relationship Id="{name}" Type="{RELATIONSHIPS}/{name.rstrip("0123456789")}" Target="{name}.xml"/>'
            for name in names
        )
    )


class PdfFile:
    """A PDF that is put together by its pages; readers rebuild the table of contents that it lacks."""

    def __init__(self) -> None:
        self._objects = {3: "<</Type /Font /Subtype /Type1 /BaseFont /Helvetica>>"}
        self._pages: list[int] = []
        self._fields: list[int] = []

    def add_page(self, content: str, *, annotations: Sequence[str] = (), form: str = "") -> None:
        """Adds a page; ``form`` is a text that it draws out of a form of its own."""
        inner = self._add(
            _stream(f"BT /F1 12 Tf 50 60 Td ({form}) Tj ET", f"/Subtype /Form /BBox [0 0 600 800] {FONTS}")
        )
        notes = [self._add(annotation) for annotation in annotations]
        self._fields += [note for note, made in zip(notes, annotations, strict=True) if "/Widget" in made]
        drawn = self._add(_stream(f"{content}\n/X1 Do"))
        used = f"/Resources <</Font <</F1 3 0 R>> /XObject <</X1 {inner} 0 R>>>> /Annots [{_references(notes)}]"
        self._pages.append(
            self._add(f"<</Type /Page /Parent 2 0 R /MediaBox [0 0 600 800] /Contents {drawn} 0 R {used}>>")
        )

    def bytes(self) -> bytes:
        """The file."""
        form = (
            f"/AcroForm <</Fields [{_references(self._fields)}] /DR <</Font <</F1 3 0 R>>>>>>"
            if self._fields
            else ""
        )
        self._objects[1] = f"<</Type /Catalog /Pages 2 0 R {form}>>"
        self._objects[2] = f"<</Type /Pages /Count {len(self._pages)} /Kids [{_references(self._pages)}]>>"
        parts = [f"{number} 0 obj {content} endobj" for number, content in sorted(self._objects.items())]
        return "\n".join(["%PDF-1.7", *parts, "trailer <</Root 1 0 R>>", "%%EOF"]).encode("latin-1")

    def _add(self, content: str) -> int:
        number = max(self._objects) + 1
        self._objects[number] = content
        return number


FONTS = "/Resources <</Font <</F1 3 0 R>>>>"


def _stream(content: str, more: str = "") -> str:
    return f"<</Length {len(content)} {more}>> stream\n{content}\nendstream"


def _references(numbers: Sequence[int]) -> str:
    return " ".join(f"{number} 0 R" for number in numbers)


def _office(main: str, content: str, parts: Mapping[str, str], members: Mapping[str, str]) -> bytes:
    folder, _, file = main.partition("/")
    own = {f"{folder}/{name}.xml": part for name, part in parts.items()}
    return package(
        {
            "_rels/.rels": _relationships(
                f'<Relationship Id="main" Type="{RELATIONSHIPS}/officeDocument" Target="{main}"/>'
            ),
            main: content,
            f"{folder}/_rels/{file}.rels": relationships(*parts),
            **own,
            **members,
        }
    )


def _relationships(inner: str) -> str:
    return f'<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">{inner}</Relationships>'
