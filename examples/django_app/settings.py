"""Django's settings: one database, which docmill uses too, and one app."""

from __future__ import annotations

import os
import secrets

from psycopg.conninfo import conninfo_to_dict

address = conninfo_to_dict(os.environ["DATABASE_URL"])

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": address.get("dbname"),
        "USER": address.get("user"),
        "PASSWORD": address.get("password"),
        "HOST": address.get("host"),
        "PORT": address.get("port"),
    }
}
DOCMILL = os.environ["DOCMILL"]
DOCMILL_KEY = os.environ.get("DOCMILL_KEY")

INSTALLED_APPS = ["receipts"]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
]
TEMPLATES = [{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}]
ROOT_URLCONF = "urls"
SECRET_KEY = os.environ.get("SECRET_KEY") or secrets.token_urlsafe()
ALLOWED_HOSTS = ["127.0.0.1", "localhost"]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
