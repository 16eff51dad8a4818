"""How an object is divided into parts; what the engine does with them is in test_engine_model."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from handler.copy import COPY_OBJECT_MAX_BYTES
from handler.multipart import MAX_PARTS, plan_parts
from handler.units import GIB, MIB


@given(st.integers(1, MAX_PARTS * COPY_OBJECT_MAX_BYTES), st.integers(5 * MIB, 5 * GIB))
def test_parts_cover_every_byte_once_and_keep_within_the_limits_of_s3(
    size: int, part_size: int
) -> None:
    parts = list(plan_parts(size, part_size))
    assert [number for number, _, _ in parts] == list(range(1, len(parts) + 1))
    assert len(parts) <= MAX_PARTS
    assert parts[0][1] == 0
    assert parts[-1][2] == size - 1
    assert all(before[2] + 1 == after[1] for before, after in itertools.pairwise(parts))
    lengths = {last - first + 1 for _, first, last in parts[:-1]}
    assert all(part_size <= length <= 5 * GIB for length in lengths)
