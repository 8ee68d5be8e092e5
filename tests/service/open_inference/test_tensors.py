"""Bytes and numbers of tensors, held against numpy."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from oodguard.service.open_inference.request import Shape, flattened
from oodguard.service.open_inference.response import serialized

SIDES = st.integers(1, 4)
SHAPES = st.tuples(SIDES, SIDES, SIDES, st.just(3))


@given(SHAPES.flatmap(lambda shape: arrays(np.uint8, shape)))
def test_numbers_in_one_list_and_in_nested_lists_are_the_array_s_bytes(
    values: NDArray[np.uint8],
) -> None:
    n, height, width, channels = values.shape
    shape: Shape = (n, height, width, channels)
    assert flattened(values.tolist(), shape) == values.tobytes()
    assert flattened(values.ravel().tolist(), shape) == values.tobytes()


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("kind", ["f4", "f8", "i8", "?"])
def test_numbers_are_written_in_rows_and_little_endian_wherever_they_come_from(
    order: str, kind: str
) -> None:
    values = np.arange(12).reshape(3, 4).astype(order + kind)
    written = np.frombuffer(serialized(values.T), "<" + kind)
    np.testing.assert_array_equal(written, values.T.ravel())


def test_a_string_stands_behind_its_length_in_bytes() -> None:
    assert serialized(["é", ""]) == b"\x02\x00\x00\x00\xc3\xa9\x00\x00\x00\x00"
