"""A job's stages, one after another: their plain functions, a real Postgres, and the simulator over HTTP."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import Engine, Row, text

from db import jobs, transitions
from db.database import Database
from db.jobs import Drive
from db.submit import Submission, submit
from docmill.llm.loop import LoopThread
from docmill.llm.transport import HttpTransport
from docmill.settings import load_settings
from docmill.simulator import Settings as Simulated
from docmill.simulator import Simulator
from prompts import Registry
from tasks.services import Caller, Services
from tasks.stages.complete import complete
from tasks.stages.context import context
from tasks.stages.parse import parse
from tasks.stages.step import InHand, go_on
from tasks.stages.store import store

__all__ = ["RECEIPT", "Walk", "walk"]

STAGES = {"context": context, "complete": complete, "parse": parse, "store": store}
MOST_STEPS = 200

RECEIPT = "EXAMPLE TEA HOUSE\n1 Sample Street\nDate: 09/03/2018\nTea 10.00\nCake 2.50\nTOTAL 12.50"


class Walk:
    """Takes jobs from stage to stage, as workers do, and waits for nothing."""

    def __init__(self, engine: Engine, services: Services) -> None:
        self.engine = engine
        self.services = services
        self.tenant = uuid4().hex[:8]

    def submit(self, body: str = RECEIPT, prompt: str = "receipt", name: str | None = None, **params: str) -> int:
        """A job whose document is read."""
        with self.engine.begin() as connection:
            submission = Submission(
                prompt=prompt, body=body.encode(), name=name, tenant=self.tenant, params=params
            )
            job_id = submit(connection, submission)
            connection.execute(
                text("update jobs set stage = 'context', version = :version where id = :id"),
                {"id": job_id, "version": self.services.registry.get(prompt).version},
            )
            connection.execute(
                text("update documents set text = :text where id = (select document_id from jobs where id = :id)"),
                {"id": job_id, "text": body},
            )
        return job_id

    def step(self, job_id: int) -> bool:
        """One delivery of the job's message; False once it has ended, or is held for long."""
        row = self.job(job_id)
        if row.wait is None or row.wait == "rate":
            return False
        with self.engine.begin() as connection:
            connection.execute(text("update jobs set wait = 'sent' where id = :id"), {"id": job_id})
            claims = row.stage == "parse"
            job = (
                transitions.claim(connection, job_id, row.epoch, "parse", owner="test", lease_s=60)
                if claims
                else jobs.load(connection, job_id, row.epoch, row.stage)
            )
        assert job is not None
        step = STAGES[row.stage](self.services, job)
        if isinstance(step, InHand):
            self.services.database.run(go_on, step.job, step.to, message_s=60, **step.kept)
        return True

    def to_the_end(self, job_id: int) -> Row[Any]:
        for _ in range(MOST_STEPS):
            if not self.step(job_id):
                return self.job(job_id)
        raise AssertionError(self.job(job_id))

    def job(self, job_id: int) -> Row[Any]:
        return self.query("select * from jobs where id = :id", id=job_id)[0]

    def calls(self, job_id: int) -> list[Row[Any]]:
        return self.query("select * from calls where job_id = :id order by attempt, try", id=job_id)

    def result(self, job_id: int) -> Row[Any]:
        return self.query("select * from results where job_id = :id", id=job_id)[0]

    def query(self, statement: str, **values: Any) -> list[Row[Any]]:
        with self.engine.connect() as connection:
            return list(connection.execute(text(statement), values).all())


def ignore(drives: Sequence[Drive]) -> None:
    """No broker: the walk looks into the job's row for where it stands."""


@pytest.fixture
def walk(engine: Engine, tmp_path: Path) -> Iterator[Callable[..., Walk]]:
    """``walk(faults={…})`` before a simulator with those settings; ``config`` is a docmill.toml with its address."""
    with ExitStack() as stack:
        loop = stack.enter_context(LoopThread())
        transport = HttpTransport()
        stack.callback(lambda: loop.run(transport.close()))

        def make(config: str = "", **settings: Any) -> Walk:
            simulator = Simulator(Simulated(**settings))
            loop.run(simulator.__aenter__())
            stack.callback(lambda: loop.run(simulator.__aexit__(None, None, None)))
            path = tmp_path / "docmill.toml"
            path.write_text(config.replace("URL", simulator.url), encoding="utf-8")
            services = Services(
                settings=load_settings(llm_url=simulator.url, config=path, call_deadline_s=5),
                database=Database(engine),
                registry=Registry(),
                publish=ignore,
                owner="test",
                caller=Caller(loop=loop, transport=transport),
            )
            return Walk(engine, services)

        yield make
