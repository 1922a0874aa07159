"""``python -m db.sql NAME`` prints a statement for psql; without a name, the names of all."""

from __future__ import annotations

import sys

from db.sql import for_psql, statements

if __name__ == "__main__":
    named = sys.argv[1:]
    unknown = [name for name in named if name not in statements()]
    if unknown:
        sys.exit(f"there is no statement {unknown[0]}: `python -m db.sql` lists them")
    sys.stdout.write("".join(map(for_psql, named)) if named else "\n".join([*statements(), ""]))
