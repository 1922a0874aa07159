"""The SQL function with whatever arguments: a job that a worker can take, or a refusal with what to give instead."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError

from db import transitions
from docmill.bounds import params_as_json
from tests.fuzz.examples import examples
from tests.fuzz.hostile import texts, values

REFUSED = {"22023", "23505"}
"""What the function says itself."""
NOT_POSTGRES = {"22P02", "22P05", "22003", "22007", "22008", "22009", "22021", "22023", "54001", "22P06", "54000"}
"""What Postgres says of a text that is no JSON or no time, before the function is called."""

STORED = texts().map(lambda text: text.replace("\0", "").encode("utf-8", "ignore").decode())
PLAIN = st.one_of(st.none(), STORED, st.sampled_from(("default", "bulk", "interactive", "receipt")))
TIMES = st.one_of(
    st.none(), STORED, st.sampled_from(("infinity", "-infinity", "2030-01-01", "now", "4713-01-01 BC"))
)
PARAMS = st.one_of(st.none(), STORED, values().map(lambda value: json.dumps(value).replace("\\u0000", "")))
TYPES = {"deadline_at": "timestamptz", "params": "jsonb"}


@examples(300)
@given(
    prompt=PLAIN, document=PLAIN, name=PLAIN, version=PLAIN, tenant=PLAIN, feature=PLAIN, usr=PLAIN, lane=PLAIN,
    deadline_at=TIMES, idem_key=PLAIN, params=PARAMS, left_out=st.sets(st.sampled_from(("name", "version", "tenant", "feature", "usr", "lane", "deadline_at", "idem_key", "params"))),
)  # fmt: skip
def test_arguments_make_a_job_or_are_refused(engine: Engine, left_out: set[str], **arguments: Any) -> None:
    given_ones = {name: value for name, value in arguments.items() if name not in left_out}
    called = ", ".join(f"{name} => cast(:{name} as {TYPES.get(name, 'text')})" for name in given_ones)
    with engine.connect() as connection:
        try:
            job = connection.execute(text(f"select docmill_submit({called})"), given_ones).scalar_one()
        except DBAPIError as error:
            diagnosis = error.orig.diag  # type: ignore[union-attr] # psycopg's
            assert diagnosis.sqlstate in REFUSED | NOT_POSTGRES, error
            if str(diagnosis.message_primary).startswith("docmill_submit"):
                assert diagnosis.message_hint
            return
        row = connection.execute(text("select * from jobs where id = :id"), {"id": job}).one()
        assert row.lane in ("interactive", "bulk")
        assert row.wait == "unsent"
        params_as_json(row.params)
        connection.execute(text("update jobs set wait = 'sent' where id = :id"), {"id": job})
        taken = transitions.claim(connection, job, row.epoch, "validate", owner="w", lease_s=60)
        assert taken is not None
        assert taken.document is not None
        connection.rollback()
