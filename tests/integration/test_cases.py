"""Cases of a prompt: answers that a tenant's people stand for, and no other tenant's."""

from __future__ import annotations

from uuid import uuid4

import pytest
from sqlalchemy import Engine

from cli.cases import cases_of, price_of
from db import reviews
from docmill.errors import Misconfigured
from tests.integration.test_reviews import ANNA, RIGHT, in_review


def test_cases_are_those_of_a_tenant(engine: Engine) -> None:
    tenant = f"t-{uuid4().hex[:8]}"
    with engine.begin() as connection:
        with pytest.raises(Misconfigured, match="nobody has accepted"):
            cases_of(connection, "receipt", 5, tenant=tenant)
        job = in_review(connection, RIGHT, tenant=tenant, body=f"TOTAL 4.10 {uuid4()}")
        subject = reviews.subject_of(connection, tenant, job, ANNA).subject
        reviews.decide(connection, tenant, subject, ANNA, reviews.Decision(kind="accept", value=RIGHT))
        found = cases_of(connection, "receipt", 5, tenant=tenant)
        assert [(case.job_id, case.right) for case in found] == [(job, RIGHT)]
        assert price_of(connection, "receipt", 1, "UTC", tenant=tenant)
        other = f"{tenant}-other"
        with pytest.raises(Misconfigured, match="nobody has accepted"):
            cases_of(connection, "receipt", 5, tenant=other)
