"""Which language a text is in, as Postgres' text search calls it, and texts made ready for it."""

from __future__ import annotations

import re
from itertools import pairwise

__all__ = ["LANGUAGES", "language_of", "searchable"]

LANGUAGES = {
    "ar": "arabic", "hy": "armenian", "eu": "basque", "ca": "catalan", "da": "danish", "nl": "dutch",
    "en": "english", "et": "estonian", "fi": "finnish", "fr": "french", "de": "german", "el": "greek",
    "hi": "hindi", "hu": "hungarian", "id": "indonesian", "ga": "irish", "it": "italian", "lt": "lithuanian",
    "ne": "nepali", "nb": "norwegian", "nn": "norwegian", "no": "norwegian", "pt": "portuguese",
    "ro": "romanian", "ru": "russian", "sr": "serbian", "es": "spanish", "sv": "swedish", "ta": "tamil",
    "tr": "turkish",
}  # fmt: skip
"""ISO 639-1 to the name of a Postgres configuration; each other language is ``simple``: words as they stand."""

SAMPLE = 4000
"""Characters that are looked at."""
FEWEST_WORDS = 4

# Scripts without spaces between words: Han, kana, and Thai, Lao, Khmer and Burmese.
UNSPACED = re.compile(
    "[\u3005-\u3007\u3041-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\u0e01-\u0eff\u1000-\u109f\u1780-\u17ff]+"
)


def language_of(text: str) -> str:
    """The configuration for a text, judged by its beginning.

    ``simple`` where Postgres does not know its language, and where there are too few words to tell.
    """
    sample = text[:SAMPLE]
    if len(sample.split()) < FEWEST_WORDS and not UNSPACED.search(sample):
        return "simple"
    from py3langid import langid  # with NumPy: memory that workers go without until they need it

    return LANGUAGES.get(langid.classify(sample)[0], "simple")


def searchable(text: str) -> str:
    """The text with runs of a script without spaces as overlapping pairs, so that its words can be found.

    Where such a run has its words only a dictionary knows; pairs of neighbours find them all the same.
    """
    return UNSPACED.sub(lambda found: f" {_pairs(found[0])} ", text)


def _pairs(run: str) -> str:
    return " ".join(a + b for a, b in pairwise(run)) if len(run) > 1 else run
