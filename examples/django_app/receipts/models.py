"""The application's own table."""

from __future__ import annotations

from django.db import models


class Upload(models.Model):
    """A receipt that somebody sent; the row exists if and only if its job does."""

    name = models.CharField(max_length=200)
    job_id = models.BigIntegerField(unique=True)
    sent_at = models.DateTimeField(auto_now_add=True)
