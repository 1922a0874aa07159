"""What `docmill submit --wait` says at its end."""

from __future__ import annotations

import pytest

from cli.submit import summary_of


@pytest.mark.parametrize(
    ("jobs", "others", "said"),
    [
        (3_000, 0, "3,000 jobs: 3,000 are done"),
        (3_000, 12, "3,000 jobs: 2,988 are done, 12 are not"),
        (3_000, 1_200, "3,000 jobs: 1,800 are done, 1,200 are not, of which 100 are shown"),
    ],
)
def test_of_many_jobs_it_says_how_many_are_done_and_how_many_others_it_shows(
    jobs: int, others: int, said: str
) -> None:
    assert summary_of(jobs, others=others) == said
