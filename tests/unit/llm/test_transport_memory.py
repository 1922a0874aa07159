"""What a coded body may take: no more than is read of one, however much it claims to unpack to."""

from __future__ import annotations

import gzip
import tracemalloc

import pytest

from docmill.llm import transport


@pytest.mark.parametrize("codings", [1, 2])
def test_a_body_that_unpacks_without_end_takes_no_more_memory_than_is_read_of_one(codings: int) -> None:
    content = bytes(10 * transport.LARGEST_BODY)
    for _ in range(codings):
        content = gzip.compress(content, 9)
    tracemalloc.start()
    try:
        with pytest.raises(transport.Unfit):
            transport._opened(content, ", ".join(["gzip"] * codings))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 4 * transport.LARGEST_BODY
