"""No reader takes longer than linear time over a document that repeats one thing."""

from __future__ import annotations

import pytest

from tests.attacks import ATTACKS, costs

FOUND_ONCE = [
    "mail From: '\"'",
    "mail To: '.'",
    "mail Content-Type: ';'",
    "mail Subject: '=?utf-8?q?a?= '",
    "mail wordings that differ",
    "text '\\u200c\\u200d'",
    "sniffed '<!---->'",
]
"""Those over which a reader once took minutes."""
SAMPLE = sorted({*FOUND_ONCE, *list(ATTACKS)[::8]})


def not_linear(names: list[str]) -> list[str]:
    suspects = [cost.name for cost in costs(names) if not cost.is_linear]
    # Other work on the machine may have been in the way of a measurement: what is slow is slow again.
    return [str(cost) for cost in costs(suspects) if not cost.is_linear]


def test_a_sample_of_attacks_takes_linear_time() -> None:
    assert not_linear(SAMPLE) == []


@pytest.mark.slow
def test_every_attack_takes_linear_time() -> None:
    assert not_linear(list(ATTACKS)) == []
