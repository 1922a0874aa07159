"""Office files are zip archives: what their bytes claim, and what they may unpack to."""

from __future__ import annotations

import io
import zipfile
import zlib

from docmill.errors import Unreadable
from docmill.reading.values import MEGABYTE

MAX_UNPACKED = 80 * MEGABYTE
"""Of all members together. A document of a thousand pages has less; what parses it takes a multiple in memory."""
MAX_MEMBERS = 20_000
_PROLOGUE = 16_384
_ENCRYPTED = 0x1
_MANIFEST = "META-INF/manifest.xml"
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_PACKAGE = "EncryptedPackage".encode("utf-16-le")


def require_archive(body: bytes) -> io.BytesIO:
    """The archive as a file for a parser, once it is known to be whole, open and of bearable size.

    Raises Unreadable: encrypted, corrupt, too_large, unsupported (an Office file of the old binary kind).
    """
    if body.startswith(_OLE):
        if _PACKAGE in body:
            raise Unreadable("encrypted", "it is locked with a password: submit it without one")
        raise Unreadable(
            "unsupported", "it is an Office file of the old binary kind: save it as docx, xlsx or pptx"
        )
    try:
        with zipfile.ZipFile(io.BytesIO(body)) as archive:
            _require_bearable(archive)
    except (zipfile.BadZipFile, zipfile.LargeZipFile, NotImplementedError, EOFError, OSError) as error:
        raise Unreadable("corrupt", f"it is no whole Office file ({error}): save it again") from error
    return io.BytesIO(body)


def require_unlocked(body: bytes) -> None:
    """Raises Unreadable (encrypted) where an OpenDocument says that its parts are locked with a password."""
    try:
        with zipfile.ZipFile(io.BytesIO(body)) as archive, archive.open(_MANIFEST) as manifest:
            locked = b"encryption-data" in manifest.read(MEGABYTE)
    except (zipfile.BadZipFile, KeyError, NotImplementedError, RuntimeError, EOFError, OSError, zlib.error):
        return  # whoever reads it will say what is wrong
    if locked:
        raise Unreadable("encrypted", "it is locked with a password: submit it without one")


def _require_bearable(archive: zipfile.ZipFile) -> None:
    members = archive.infolist()
    if len(members) > MAX_MEMBERS:
        raise Unreadable("too_large", f"it has {len(members):,} members; {MAX_MEMBERS:,} are read")
    if any(member.flag_bits & _ENCRYPTED for member in members):
        raise Unreadable("encrypted", "it is locked with a password: submit it without one")
    for member in members:
        if member.filename.endswith((".xml", ".rels")):
            _require_no_entities(archive, member)
    # The declared sizes can be relied on: zipfile reads no more of a member than it declares.
    unpacked = sum(member.file_size for member in members if _is_text(member.filename))
    if unpacked > MAX_UNPACKED:
        raise Unreadable(
            "too_large",
            f"it unpacks to {unpacked // MEGABYTE:,} MB of text; {MAX_UNPACKED // MEGABYTE} MB are read: split it",
        )


def _require_no_entities(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> None:
    """Office files have no use for entities of their own; bombs and thieves of files do."""
    with archive.open(member) as content:
        if b"<!ENTITY" in content.read(_PROLOGUE):
            raise Unreadable("unsupported", f"{member.filename} in it declares entities, which are not followed")


def _is_text(name: str) -> bool:
    """Pictures are not unpacked by what reads the text."""
    return name.endswith((".xml", ".rels", ".vml")) or "." not in name
