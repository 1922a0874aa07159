"""Where a part of a text ends that begins with a bracket and cannot be read; linear in the text's length."""

from __future__ import annotations

import re

__all__ = ["BRACKET", "OPENING", "end_of"]

OPENING = re.compile(r"[{\[｛［]")
BRACKET = re.compile(r"[{}\[\]｛｝［］]")
SIGNS = re.compile(r"\\.|[\"{}\[\]｛｝［］]", re.DOTALL)


def end_of(text: str, start: int, limit: int, *, with_texts: bool = True) -> int | None:
    """Finds where the brackets that open at ``start`` are closed; None where they are not before ``limit``.

    They may be closed by brackets of another kind. Those between double quotes count for nothing, unless
    ``with_texts`` is false.
    """
    depth, in_text = 0, False
    for found in SIGNS.finditer(text, start, limit):
        sign = found.group()
        if sign == '"':
            in_text = with_texts and not in_text
        elif not in_text and len(sign) == 1:
            depth += 1 if OPENING.match(sign) else -1
            if depth == 0:
                return found.end()
    return None
