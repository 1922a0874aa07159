"""How long a worker has for its end."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from celery.concurrency import base, prefork

from docmill.settings import load_settings
from workers import ending
from workers.pool import ThreadPool


@pytest.mark.parametrize(("pool", "within_s"), [(ThreadPool, 90.0), (prefork.TaskPool, 10.0)])
def test_who_is_told_to_quit_has_time_for_calls_that_cost_and_for_nothing_else(
    monkeypatch: pytest.MonkeyPatch, pool: type[base.BasePool], within_s: float
) -> None:
    told: list[object] = []
    monkeypatch.setattr(ending, "end_within", told.append)
    app = SimpleNamespace(settings=load_settings(call_deadline_s=60))
    worker = SimpleNamespace(app=app, pool_cls=pool, wait_for_soft_shutdown=lambda: told.append("and waits"))
    step = ending.Ending(worker)
    worker.wait_for_soft_shutdown()
    step.close(worker)
    assert told == [within_s, "and waits", 90.0]
