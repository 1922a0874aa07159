"""Two smaller roll-ups beside that of costs, for reports that ask for less (docs/decisions/0212)."""

from __future__ import annotations

from alembic import op

revision = "0232"
down_revision = "0231"

COUNTS = (
    "calls", "cached", "failed", "unpriced", "possibly_billed", "input_tokens", "cached_tokens", "output_tokens",
    "accepted",
)  # fmt: skip
AMOUNTS = ("cost_usd", "saved_usd", "surplus_usd", "rejected_usd", "failed_usd")
KEYS = {
    "costs_without_users": ("tenant", "day", "feature", "model", "prompt", "version", "remedy"),
    "costs_of_users": ("tenant", "day", "feature", "usr"),
}


def upgrade() -> None:
    # Until triggers keep them, which come in this transaction.
    op.execute("lock table costs_daily in share row exclusive mode")
    sums = [*COUNTS, *AMOUNTS]
    for table, key in KEYS.items():
        columns = [
            *(f"{name} {'date' if name == 'day' else 'text'} not null" for name in key),
            *(f"{name} bigint not null" for name in COUNTS),
            *(f"{name} numeric not null" for name in AMOUNTS),
            f"primary key ({', '.join(key)})",
        ]
        op.execute(f"create table {table} ({', '.join(columns)})")
        summed = ", ".join(f"sum({name})" for name in sums)
        op.execute(
            f"insert into {table} ({', '.join([*key, *sums])})"
            f" select {', '.join(key)}, {summed} from costs_daily group by {', '.join(key)}"
        )
