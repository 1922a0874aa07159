"""A broker that began anew is noticed by one of those who ask, and what was under way in it is sent again."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import uuid4

import pytest
import redis
from celery import Celery
from sqlalchemy import Engine, text

from db import dispatch
from db.submit import Submission, submit
from docmill.settings import load_settings
from tasks import broker
from workers.stack.servers import EmbeddedServers


@pytest.fixture
def celery(servers: EmbeddedServers) -> Iterator[Celery]:
    app = broker.connect(load_settings(broker_url=servers.broker_url))
    yield app
    app.close()


def test_one_is_told_that_the_broker_began_anew(servers: EmbeddedServers, celery: Celery) -> None:
    broker.began_anew(celery)
    assert not broker.began_anew(celery)
    process = next(each for each in servers.processes if each.name == "broker")
    process.stop()
    assert not broker.began_anew(celery), "a broker that is away may still have everything"
    process.spawn()
    process.await_ready()
    assert broker.began_anew(celery)
    assert not broker.began_anew(celery)


def test_a_broker_that_lost_its_data_began_anew(servers: EmbeddedServers, celery: Celery) -> None:
    broker.began_anew(celery)
    with redis.Redis.from_url(servers.broker_url.replace("redis+socket", "unix")) as client:
        client.flushall()
    assert broker.began_anew(celery)


def test_what_was_under_way_is_sent_again_and_nothing_else(engine: Engine) -> None:
    tenant = uuid4().hex
    waits = ("sent", "running", "countdown", "unsent")
    with engine.connect() as connection:
        made = {
            wait: submit(connection, Submission(prompt="receipt", body=wait.encode(), tenant=tenant))
            for wait in waits
        }
        for wait, job in made.items():
            connection.execute(
                text("update jobs set wait = :wait, stage = 'complete', redrives = 1 where id = :id"),
                {"wait": wait, "id": job},
            )
        drives = dispatch.send_again(connection, message_s=60)
        ours = [drive for drive in drives if drive.id in made.values()]
        causes = list(
            connection.execute(text("select cause from drives where job_id = :id"), {"id": made["sent"]}).scalars()
        )
        redrives = connection.execute(
            text("select redrives from jobs where id = :id"), {"id": made["sent"]}
        ).scalar_one()
        connection.rollback()
    assert [drive.id for drive in ours] == [made["sent"]]
    assert causes == ["broker began anew"]
    assert redrives == 1, "the job did nothing wrong"
