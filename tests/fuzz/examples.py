"""How many examples a test is given, and which."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

__all__ = ["TIMES", "TIMES_VARIABLE", "examples"]

TIMES_VARIABLE = "DOCMILL_FUZZ_TIMES"
TIMES = int(os.environ.get(TIMES_VARIABLE, "1"))
"""How many times the examples of ``make test`` are made."""


def examples(number: int) -> settings:
    """Decorates a test: ``number`` examples in ``make test``, always the same ones; in ``make fuzz`` many more.

    No example is timed, for a loaded machine is no defect; servers are the same for all examples of a test, so each
    must leave them as the next one may find them.
    """
    return settings(
        max_examples=number * TIMES,
        derandomize=TIMES == 1,
        deadline=None,
        print_blob=True,
        suppress_health_check=[
            HealthCheck.too_slow,
            HealthCheck.data_too_large,
            HealthCheck.large_base_example,
            HealthCheck.function_scoped_fixture,
        ],
    )
