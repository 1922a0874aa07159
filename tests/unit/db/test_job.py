"""A job's copies."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import pytest

from db.jobs import Job


def job() -> Job:
    told: dict[str, Any] = {each.name: f"its {each.name}" for each in fields(Job)}
    return Job(**told)


def test_a_job_with_changes_is_what_replacing_them_makes_of_it() -> None:
    before = job()
    assert before.but(stage="parse", crashes=2) == replace(before, stage="parse", crashes=2)
    assert before == job(), "the job itself stays as it was"


def test_what_is_no_field_of_a_job_is_refused() -> None:
    with pytest.raises(TypeError, match="no stagee"):
        job().but(stagee="parse")
