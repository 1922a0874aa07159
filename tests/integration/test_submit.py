"""Submitting, on a real database."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from uuid import uuid4

import pytest
from sqlalchemy import Engine, text

from db.engine import make_engine
from db.migrations import upgrade
from db.submit import Accepted, Submission, accept, submit, submit_many
from docmill.errors import Misconfigured, ServiceAway, SubmitRefused
from workers.stack.servers import EmbeddedServers


def receipt(**changes: object) -> Submission:
    return Submission(**{"prompt": "receipt", "body": uuid4().bytes, **changes})  # type: ignore[arg-type] # free keywords


def test_a_submit_is_an_unsent_job_with_its_document(engine: Engine) -> None:
    with engine.begin() as connection:
        job = submit(connection, receipt(body=b"TOTAL 12.00", name="a.txt", feature="billing"))
    with engine.connect() as connection:
        row = connection.execute(
            text(
                "select j.state, j.stage, j.wait, j.feature, j.tenant, d.body, d.name"
                " from jobs j join documents d on d.id = j.document_id where j.id = :job"
            ),
            {"job": job},
        ).one()
    assert tuple(row) == ("queued", "validate", "unsent", "billing", "default", b"TOTAL 12.00", "a.txt")


def test_a_submit_that_is_rolled_back_leaves_no_job(engine: Engine) -> None:
    with engine.connect() as connection:
        job = submit(connection, receipt())
        connection.rollback()
        found = connection.execute(text("select count(*) from jobs where id = :job"), {"job": job}).scalar_one()
    assert found == 0


def test_one_document_is_kept_once_a_tenant(engine: Engine) -> None:
    body = uuid4().bytes
    with engine.begin() as connection:
        for tenant in ("a", "a", "b"):
            submit(connection, receipt(body=body, tenant=tenant))
        kept = connection.execute(
            text("select count(*) from documents where sha256 = sha256(:body)"), {"body": body}
        ).scalar_one()
    assert kept == 2


def test_one_idempotency_key_fifty_times_at_once_is_one_job(engine: Engine) -> None:
    wanted = receipt(idem_key=str(uuid4()))

    def once(_: int) -> int:
        with engine.begin() as connection:
            return submit(connection, wanted)

    with ThreadPoolExecutor(10) as pool:
        assert len(set(pool.map(once, range(50)))) == 1


def test_of_two_submits_of_one_key_at_the_same_moment_one_is_new(engine: Engine) -> None:
    wanted = receipt(idem_key=uuid4().hex)
    with engine.connect() as first, ThreadPoolExecutor(1) as pool:
        made = accept(first, wanted)

        def second() -> Accepted:
            with engine.begin() as connection:
                return accept(connection, wanted)

        waiting = pool.submit(second)
        with pytest.raises(TimeoutError):
            waiting.result(0.3)
        first.commit()
        again = waiting.result(10)
    assert (made.is_new, again.is_new, again.id) == (True, False, made.id)


def test_many_are_submitted_at_once_as_one_by_one(engine: Engine) -> None:
    mark = str(uuid4())
    keyed = receipt(idem_key=mark, params={"a": "ü\t\n"}, body=b"\x00\xff")
    wanted = [receipt(name=f"{number}", feature=mark) for number in range(1000)]
    with engine.begin() as connection:
        first = submit(connection, keyed)
        found = submit_many(connection, (keyed, *wanted, keyed))
        assert submit_many(connection, []) == []
    assert found[0] == found[-1] == first
    assert found[1:1001] == sorted(set(found[1:1001]))
    with engine.connect() as connection:
        rows = connection.execute(
            text(
                "select d.body, d.name, j.params from jobs j join documents d on d.id = j.document_id"
                " where j.feature = :mark order by j.id"
            ),
            {"mark": mark},
        ).all()
    assert [(row.body, row.name) for row in rows] == [(each.body, each.name) for each in wanted]


def test_many_leave_the_rows_that_one_leaves(engine: Engine) -> None:
    columns = (
        "j.tenant, feature, usr, lane, chain, collection, prompt, version, params, state, stage, epoch, wait, fresh,"
        " deadline_at, d.name, d.media_type, d.body, d.text"
    )
    wanted = receipt(
        media_type="text/plain", name="a.txt", version="v1", tenant=uuid4().hex, feature="f", usr="u",
        lane="interactive", deadline_at=datetime(2100, 1, 1, tzinfo=UTC), params={"a": [1]},
    )  # fmt: skip
    with engine.begin() as connection:
        made = [submit(connection, wanted), *submit_many(connection, [wanted, wanted])]
        rows = connection.execute(
            text(
                f"select {columns} from jobs j join documents d on d.id = j.document_id"
                " where j.id = any(:made) order by j.id"
            ),
            {"made": made},
        ).all()
    assert len(set(made)) == len(rows) == 3
    assert rows[0] == rows[1] == rows[2]


def test_many_with_a_used_key_are_refused_together(engine: Engine) -> None:
    mark = str(uuid4())
    with engine.begin() as connection:
        submit(connection, receipt(idem_key=mark, body=b"one"))
    with pytest.raises(SubmitRefused, match="was used for another submit"), engine.begin() as connection:
        submit_many(connection, [receipt(feature=mark), receipt(idem_key=mark, body=b"other")])
    with engine.connect() as connection:
        kept = connection.execute(text("select count(*) from jobs where feature = :mark"), {"mark": mark})
        assert kept.scalar_one() == 0


@pytest.mark.parametrize("change", [{"body": b"other"}, {"prompt": "invoice"}, {"params": {"a": 1}}])
def test_a_used_key_with_another_content_is_refused(engine: Engine, change: dict[str, object]) -> None:
    first = {"idem_key": str(uuid4()), "body": b"one"}
    with engine.begin() as connection:
        submit(connection, receipt(**first))
    with pytest.raises(SubmitRefused, match="was used for another submit"), engine.begin() as connection:
        submit(connection, receipt(**{**first, **change}))


def test_the_sql_function_takes_a_text_and_defaults(engine: Engine) -> None:
    with engine.begin() as connection:
        job = connection.execute(
            text("select docmill_submit('receipt', 'Grüße', feature => 'web', params => '{\"a\": 1}')")
        ).scalar_one()
        row = connection.execute(
            text(
                "select j.feature, j.params, d.body, d.media_type from jobs j join documents d"
                " on d.id = j.document_id where j.id = :job"
            ),
            {"job": job},
        ).one()
    assert tuple(row) == ("web", {"a": 1}, "Grüße".encode(), "text/plain")


def test_upgrading_again_changes_nothing(servers: EmbeddedServers, engine: Engine) -> None:
    def version() -> str:
        with engine.connect() as connection:
            return str(connection.execute(text("select version_num from alembic_version")).scalar_one())

    before = version()
    upgrade(servers.owner_url, application_url=servers.database_url)
    assert version() == before


def test_a_database_that_does_not_exist_is_named(servers: EmbeddedServers) -> None:
    with pytest.raises(ServiceAway, match='"misnamed" does not exist'):
        make_engine(servers.database_url.replace("/docmill?", "/misnamed?"))


def test_an_address_that_is_none_is_refused() -> None:
    with pytest.raises(Misconfigured, match="is no database address"):
        make_engine("not an address")
