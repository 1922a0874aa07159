"""Two pages: a form with the list of uploads, and an upload with its answer."""

from __future__ import annotations

from django.urls import path
from receipts import views

urlpatterns = [path("", views.uploads), path("uploads/<int:upload_id>", views.upload)]
