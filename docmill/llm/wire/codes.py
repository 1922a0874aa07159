"""Makers who count their errors: what the numbers mean, as an HTTP status and a word that the rules know.

MiniMax has its number in ``base_resp`` of a good response, Baidu in ``error_code``, Zhipu in ``error.code``. The
numbers of each mean nothing with another, so that each table has its place.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from docmill.llm.wire.shapes import at, label

__all__ = ["meaning_of"]


@dataclass(frozen=True, kw_only=True)
class Meaning:
    """What a number stands for."""

    status: int
    word: str


RATE = Meaning(status=429, word="rate_limit_exceeded")
QUOTA = Meaning(status=402, word="insufficient_quota")
AUTH = Meaning(status=401, word="invalid_api_key")
FILTERED = Meaning(status=400, word="content_filter")
TIMEOUT = Meaning(status=504, word="request_timeout")
BUSY = Meaning(status=503, word="overloaded")
BROKEN = Meaning(status=500, word="server_error")
WRONG = Meaning(status=400, word="invalid_request")
TOO_LONG = Meaning(status=400, word="context_length_exceeded")
UNKNOWN_MODEL = Meaning(status=404, word="model_not_found")

MINIMAX = {
    "1000": BROKEN, "1001": TIMEOUT, "1002": RATE, "1004": AUTH, "1008": QUOTA, "1013": BROKEN, "1024": BROKEN,
    "1026": FILTERED, "1027": FILTERED, "1033": BROKEN, "1039": RATE, "1041": RATE, "1042": WRONG, "2013": WRONG,
    "2049": AUTH, "2056": QUOTA, "2061": UNKNOWN_MODEL,
}  # fmt: skip
BAIDU = {
    "1": BROKEN, "2": BUSY, "3": WRONG, "4": RATE, "6": AUTH, "13": AUTH, "14": AUTH, "15": AUTH, "17": QUOTA,
    "18": RATE, "19": QUOTA, "100": WRONG, "110": AUTH, "111": AUTH, "336000": BROKEN, "336001": WRONG,
    "336002": WRONG, "336003": WRONG, "336004": AUTH, "336005": WRONG, "336006": WRONG, "336007": TOO_LONG,
    "336100": BUSY, "336103": TOO_LONG, "336104": WRONG, "336105": WRONG, "336117": BUSY, "336120": FILTERED,
    "336200": BROKEN, "336303": BUSY, "336501": RATE, "336502": RATE,
}  # fmt: skip
ZHIPU = {
    "1000": AUTH, "1001": AUTH, "1002": AUTH, "1003": AUTH, "1004": AUTH, "1110": AUTH, "1111": AUTH, "1112": AUTH,
    "1113": QUOTA, "1120": BROKEN, "1121": AUTH, "1211": UNKNOWN_MODEL, "1230": BROKEN, "1234": BROKEN,
    "1261": TOO_LONG, "1301": FILTERED, "1302": RATE, "1303": RATE, "1304": QUOTA, "1305": RATE, "1308": QUOTA,
    "1309": QUOTA, "1310": QUOTA, "1312": BUSY,
}  # fmt: skip

PLACES: tuple[tuple[str, Mapping[str, Meaning]], ...] = (
    ("base_resp.status_code", MINIMAX),
    ("error_code", BAIDU),
    ("error.code", ZHIPU),
)


def meaning_of(body: Mapping[str, Any]) -> Meaning | None:
    """Gives the meaning of the number in a body; None where it has none that is known."""
    return next((table[code] for path, table in PLACES if (code := label(at(body, path))) in table), None)
