"""The tables as they are declared, held against those that the migrations make."""

from __future__ import annotations

from sqlalchemy import Engine, text

from db.tables import METADATA

COLUMNS = """
select c.relname || '.' || attname as name, format_type(atttypid, atttypmod) as type, attnotnull as given
from pg_attribute join pg_class c on c.oid = attrelid
where relkind = 'r' and relnamespace = 'public'::regnamespace and relname <> 'alembic_version'
  and attnum > 0 and not attisdropped
"""


def test_they_are_declared_as_they_are(engine: Engine) -> None:
    with engine.connect() as connection:
        found = {row.name: (row.type, row.given) for row in connection.execute(text(COLUMNS))}
        declared = {
            f"{table.name}.{column.name}": (
                connection.execute(text(f"select format_type('{kind}'::regtype, null)")).scalar_one()
                if "(" not in (kind := column.type.compile(engine.dialect).lower())
                else kind.replace(", ", ","),
                not column.nullable,
            )
            for table in METADATA.tables.values()
            for column in table.columns
        }
    assert declared == found
