"""Half a list is no answer, however its reply says that it is half."""

from __future__ import annotations

import pytest

from docmill.errors import ReplyInvalid, ReplyRejected
from docmill.parsing import correction_problems, parse


@pytest.mark.parametrize(
    "reply",
    [
        '{"items": ["chair", "desk", ...]}',
        '{"items": ["chair", "desk", …]}',
        '{"items": ["chair", "desk", "..."]}',
        '{"items": ["chair", "desk", "…"]}',
        '{"items": ["chair", "desk", "... and 3 more"]}',
        '{"items": ["chair", "desk", "(12 more items)"]}',
        '{"items": ["chair", "desk", "etc."]}',
        '{"items": ["chair", "desk", "and so on"]}',
        '{"items": ["chair", "desk", and so on]}',
        '{"items": ["chair", "desk", [...]]}',
        '{"items": ["chair", "desk" // ... 12 more items\n]}',
        '{"items": ["chair", "desk", /* rest */]}',
        '{"items": ["chair", "desk", # and so on\n]}',
        '{"items": ["chair", "desk" <!-- remaining items omitted -->]}',
        '{"items": ["chair", // weitere\n "desk"]}',
        "{'items': ('chair', 'desk', ...)}",
        '{"a": 1, ..., "z": 26}',
        '{"a": 1, "...": "..."}',
        '{"a": {...}, "b": 2}',
        '{"a": 1 // "b": 2,\n}',
        '{"items": ["chair", "desk"]}\n\n(The remaining 12 items were left out.)',
        '{"items": ["chair", "desk"]}\n\nI shortened the list for brevity.',
        '```json\n{"items": ["chair", "desk"]}\n```\n12 more items follow.',
    ],
)
def test_what_was_left_out_is_missed(reply: str) -> None:
    with pytest.raises(ReplyRejected):
        parse(reply)


@pytest.mark.parametrize(
    ("reply", "value"),
    [
        ('{"note": "wait..."}', {"note": "wait..."}),
        ('{"notes": ["wait...", "and so it goes", "etc"]}', None),
        ('{"notes": ["wait...", "Rest of World", "2 additional drivers"]}', None),
        ('{"notes": ["…and justice for all"]}', None),
        ('{"a": 1, /* in EUR */ "b": 2} // done', {"a": 1, "b": 2}),
        ('{"a": 1}\n\nI left the rest of the form as it is.', {"a": 1}),
    ],
)
def test_what_only_sounds_like_it_is_read(reply: str, value: object) -> None:
    if '"etc"' in reply:
        with pytest.raises(ReplyInvalid):
            parse(reply)
    else:
        found = parse(reply)
        assert found == value or value is None


def test_the_place_is_named() -> None:
    with pytest.raises(ReplyInvalid) as caught:
        parse('{"lines": [{"tags": ["a", "..."]}]}')
    assert correction_problems(caught.value)[0].startswith("lines.0.tags.1: must hold everything")
