"""An upload becomes a row of ours and a job of docmill's in one transaction; the answer is read over HTTP."""

from __future__ import annotations

import json

from django.conf import settings
from django.core.exceptions import BadRequest
from django.db import connection, transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render

from docmill.client import Docmill, submit_in
from docmill.errors import ServiceAway, SubmitRefused
from receipts.models import Upload


def uploads(request: HttpRequest) -> HttpResponse:
    if request.method == "POST":
        return redirect(f"/uploads/{_keep(request).id}")
    return render(request, "receipts/uploads.html", {"uploads": Upload.objects.order_by("-id")[:20]})


def _keep(request: HttpRequest) -> Upload:
    file = request.FILES.get("file")
    if file is None:
        raise BadRequest("choose a file")
    try:
        text = file.read().decode()
        with transaction.atomic():
            job_id = submit_in(connection, text, prompt="receipt", name=file.name, feature="uploads")
            return Upload.objects.create(name=file.name, job_id=job_id)
    except (UnicodeDecodeError, SubmitRefused) as error:
        raise BadRequest("a receipt is a text here: files of other kinds go over HTTP") from error


def upload(request: HttpRequest, upload_id: int) -> HttpResponse:
    found = get_object_or_404(Upload, id=upload_id)
    try:
        with Docmill(settings.DOCMILL, settings.DOCMILL_KEY, tries=2) as docmill:
            job = docmill.job(found.job_id)
    except ServiceAway as error:
        return HttpResponse(str(error), status=503, content_type="text/plain")
    answer = json.dumps(job.value, indent=2, ensure_ascii=False) if job.value is not None else None
    return render(request, "receipts/upload.html", {"upload": found, "job": job, "answer": answer})
