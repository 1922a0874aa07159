"""All that stages, drives and upkeep know of Celery and the broker."""
