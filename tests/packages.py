"""Office packages made up for tests: the parts that are given, and what a package must have beside them."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping

__all__ = ["docx", "odt", "package", "pptx", "xlsx"]

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


def docx(body: str, *, parts: Mapping[str, str] | None = None) -> bytes:
    """A Word document with that body; ``parts`` are further ones by kind (``footnotes``, ``header1``), related to it."""
    return _office(
        "word/document.xml", f"<w:document {NAMESPACES}><w:body>{body}</w:body></w:document>", parts or {}
    )


def pptx(*slides: str, parts: Mapping[str, str] | None = None) -> bytes:
    """A presentation with those shape trees."""
    listed = "".join(f'<p:sldId id="{256 + n}" r:id="slide{n}"/>' for n in range(len(slides)))
    main = f"<p:presentation {NAMESPACES}><p:sldIdLst>{listed}</p:sldIdLst></p:presentation>"
    shows = {
        f"slide{n}": f"<p:sld {NAMESPACES}><p:cSld><p:spTree>{tree}</p:spTree></p:cSld></p:sld>"
        for n, tree in enumerate(slides)
    }
    return _office("ppt/presentation.xml", main, {**shows, **(parts or {})})


def xlsx(rows: str, *, workbook: str = "", before: str = "", state: str = "visible", **parts: str) -> bytes:
    """A workbook of one sheet with those rows; ``parts`` are further ones by kind, related to the workbook."""
    listed = f'<sheets><sheet name="Sheet" state="{state}" r:id="worksheet1"/></sheets>'
    sheet = f"<worksheet>{before}<sheetData>{rows}</sheetData></worksheet>"
    main = f"<workbook {NAMESPACES}>{listed}{workbook}</workbook>"
    return _office("xl/workbook.xml", main, {"worksheet1": sheet, **parts})


def odt(body: str, *, styles: str = "") -> bytes:
    """An OpenDocument text with that body; ``styles`` is what stands in its master styles."""
    content = (
        f"<office:document-content {OPEN_DOCUMENT}><office:body><office:text>{body}</office:text></office:body>"
    )
    return package(
        {
            "content.xml": f"{content}</office:document-content>",
            "styles.xml": f"<office:document-styles {OPEN_DOCUMENT}>{styles}</office:document-styles>",
        }
    )


def _office(main: str, content: str, parts: Mapping[str, str]) -> bytes:
    folder, _, file = main.partition("/")
    related = "".join(
        f'<Relationship Id="{name}" Type="{RELATIONSHIPS}/{name.rstrip("0123456789")}" Target="{name}.xml"/>'
        for name in parts
    )
    return package(
        {
            "_rels/.rels": _relationships(
                f'<Relationship Id="main" Type="{RELATIONSHIPS}/officeDocument" Target="{main}"/>'
            ),
            main: content,
            f"{folder}/_rels/{file}.rels": _relationships(related),
            **{f"{folder}/{name}.xml": part for name, part in parts.items()},
        }
    )


def _relationships(inner: str) -> str:
    return f'<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">{inner}</Relationships>'
