"""A small Django app that submits inside its own transaction.

    DATABASE_URL=postgresql://… DOCMILL=http://127.0.0.1:8080 python manage.py migrate
    DATABASE_URL=postgresql://… DOCMILL=http://127.0.0.1:8080 python manage.py runserver 8000

It shares the database with docmill (`docmill up` shows both addresses), and needs docmill's wheel, Django and
psycopg.
"""

from __future__ import annotations

import os
import sys

from django.core.management import execute_from_command_line

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "settings")
execute_from_command_line(sys.argv)
