"""Postgres: models, queries, migrations."""
