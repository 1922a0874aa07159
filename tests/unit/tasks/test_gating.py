"""Values of two versions against what a person stands for."""

from __future__ import annotations

from typing import Any

import pytest

from cli.cases import Case
from cli.gate import _told
from db.jobs import Document
from docmill.errors import Failure, FailureKind
from tasks.gating import compare, scores
from tasks.trial import Trial

RIGHT: dict[str, Any] = {"total": 4.1, "date": None, "lines": [{"name": "tea"}, {"name": "cake"}]}


@pytest.mark.parametrize(
    ("old", "new", "broken", "mended"),
    [
        (RIGHT, RIGHT, [], []),
        (RIGHT, {**RIGHT, "total": 7.0}, ["total"], []),
        ({**RIGHT, "total": 7.0}, RIGHT, [], ["total"]),
        ({**RIGHT, "total": 7.0}, {**RIGHT, "total": 8.0}, [], []),
        (RIGHT, None, ["total", "date", "lines.0.name", "lines.1.name"], []),
        (RIGHT, {**RIGHT, "date": 0}, ["date"], []),
        (RIGHT, {**RIGHT, "lines": [{"name": "tea"}]}, ["lines.1.name"], []),
        ({**RIGHT, "lines": []}, RIGHT, [], ["lines.0.name", "lines.1.name", "lines"]),
    ],
)
def test_a_value_is_broken_where_the_old_version_had_it_right(
    old: Any, new: Any, broken: list[str], mended: list[str]
) -> None:
    found = compare(RIGHT, old, new)
    assert [each.path for each in found if each.broken] == broken
    assert [each.path for each in found if each.mended] == mended


def test_a_value_that_only_a_version_gives_is_wrong() -> None:
    more = {**RIGHT, "lines": [*RIGHT["lines"], {"name": "jam"}]}
    (jam,) = [each for each in compare(RIGHT, more, RIGHT) if each.path == "lines.2.name"]
    assert (jam.old, jam.right) == ("jam", "(nothing)")


def test_fields_are_summed_over_cases_and_places() -> None:
    wrong = {**RIGHT, "lines": [{"name": "tea"}, {"name": "jam"}]}
    found = {each.field: each for each in scores([compare(RIGHT, RIGHT, wrong), compare(RIGHT, wrong, RIGHT)])}
    assert list(found) == ["total", "date", "lines.*.name"]
    names = found["lines.*.name"]
    assert (names.values, names.old, names.new, names.broken, names.mended) == (4, 3, 3, 1, 1)


def trial(value: Any, kind: FailureKind | None = None) -> Trial:
    failure = None if kind is None else Failure(kind=kind, message="as it was told")
    state = "done" if failure is None else "failed"
    return Trial(
        prompt="receipt/v2", content_hash="", state=state, value=value, evidence=None, failure=failure,
        left_out_chars=0, calls=(),
    )  # fmt: skip


def case(job_id: int) -> Case:
    document = Document(id=0, name=None, media_type="text/plain", body=None, text="", pages=[], layout=None)
    return Case(job_id=job_id, document=document, params={}, right=RIGHT)


@pytest.mark.parametrize(
    "kind", ["budget", "rate_limited", "connection", "server_error", "timeout", "auth", "unreadable", "internal"]
)
@pytest.mark.parametrize("as_json", [False, True])
def test_what_was_never_answered_is_not_compared(
    kind: FailureKind, as_json: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    good, missing = trial(RIGHT), trial(None, kind)
    for both in ([missing, good], [good, missing], [missing, missing]):
        assert _told("receipt", "v1", "v2", [(case(7), both)], as_json=as_json) == 2
        said = capsys.readouterr().out
        assert f"{kind}: as it was told" in said
        assert "nothing is broken" not in said
        assert '"broken"' not in said
    wrong = trial({**RIGHT, "total": 7.0})
    both_cases = [(case(7), [good, missing]), (case(8), [good, wrong])]
    assert _told("receipt", "v1", "v2", both_cases, as_json=as_json) == 2
    assert "total" in capsys.readouterr().out, "what could be compared is told"


@pytest.mark.parametrize("kind", ["truncated", "malformed", "invalid", "wrong", "refused", "content_filtered"])
def test_an_answer_that_is_none_breaks_what_was_right(
    kind: FailureKind, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _told("receipt", "v1", "v2", [(case(7), [trial(RIGHT), trial(None, kind)])], as_json=False) == 1
    assert _told("receipt", "v1", "v2", [(case(7), [trial(None, kind), trial(RIGHT)])], as_json=False) == 0
    assert "not compared" not in capsys.readouterr().out
