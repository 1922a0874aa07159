"""Celery app, queues, composition root and the one-command stack."""
