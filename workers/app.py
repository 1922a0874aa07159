"""The Celery application: ``celery -A workers.app worker|flower|beat``."""

from __future__ import annotations

from docmill.logs import configure_logs
from docmill.settings import load_settings
from tasks.celery import redis_transport
from tasks.chain import TASKS
from tasks.upkeep import retention, schedules
from workers import flower, lifecycle
from workers.configuration import make_app

__all__ = ["app"]

settings = load_settings()
configure_logs(settings)
redis_transport.register()
app = make_app(settings)
app.settings = settings
app.services = None  # each process makes its own
app.stages = (*TASKS.values(), schedules.tick, retention.retention)
lifecycle.connect(app)
flower.connect(app)
