"""Good JSON, written badly in thousands of ways: what is read is what was meant, or nothing."""

from __future__ import annotations

import pytest

from tests.fuzz.mutations import judged, replies, written_with

COUNT, ALONE = 3000, 40
CLEAR = (
    *("quotes single", "quotes triple", "quotes mixed", "keys bare", "literals python", "literals upper"),
    *(
        "literals undefined",
        "commas trailing",
        "commas others",
        "colons others",
        "comments line",
        "comments block",
    ),
    *("comments glued", "spaces odd", "layout lines", "layout compact", "escapes raw breaks", "escapes needless"),
    *("escapes hexadecimal", "escapes ascii", "texts joined", "numbers", "tuples", "brackets wide"),
    *("prose before", "fence", "element", "said twice", "assigned", "encoded twice", "signs unseen", "tool"),
    *(
        "draft in thoughts",
        "draft in thoughts after a word",
        "draft in nested thoughts",
        "draft in thoughts behind",
    ),
)
SELDOM_CLEAR = {
    **dict.fromkeys(("quotes typographic", "quotes alike", "quotes inner", "escapes raw backslashes"), 0.8),
    **dict.fromkeys(("commas missing", "escaped", "fence half", "prose behind", "texts bare"), 0.8),
    **dict.fromkeys(("lost: comma", "wrong: closing bracket", "draft under a heading", "react"), 0.7),
    **dict.fromkeys(("draft in thoughts without opening",), 0.7),
}
"""The least share that is read of what has this slip alone: so that refusing everything is no way out."""


def test_what_is_read_is_what_was_meant() -> None:
    read = 0
    for reply in replies(seed=1, count=COUNT):
        outcome, found = judged(reply)
        assert outcome != "wrong", (reply.kinds, reply.text, found)
        read += outcome == "read"
    assert read > COUNT / 2


@pytest.mark.parametrize(
    ("kind", "share"), [*((kind, 0.9) for kind in CLEAR), *SELDOM_CLEAR.items()], ids=[*CLEAR, *SELDOM_CLEAR]
)
def test_what_is_clear_is_read(kind: str, share: float) -> None:
    made = [reply for seed in range(ALONE) if (reply := written_with(kind, seed)) is not None]
    refused = [(reply.text, judged(reply)) for reply in made if judged(reply)[0] != "read"]
    assert len(refused) <= (1 - share) * len(made), refused
    assert len(made) > ALONE / 5
