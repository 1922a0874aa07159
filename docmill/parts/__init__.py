"""A document in parts, so that a long list is answered whole: how it is cut, and how the answers are joined; pure.

A part is a stretch of the document with what its rows need from elsewhere. Answers are joined by where their rows
stand, and never by what they look like (docs/decisions/0120).
"""

from docmill.parts.cutting import Part, cut, expected_rows
from docmill.parts.joining import Answered, Joined, join
from docmill.parts.lines import Lines
from docmill.parts.places import Shown
from docmill.parts.schemas import fields_of_rows

__all__ = [
    "Answered",
    "Joined",
    "Lines",
    "Part",
    "Shown",
    "cut",
    "expected_rows",
    "fields_of_rows",
    "join",
]
