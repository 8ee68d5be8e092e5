"""Conversion of tensors to bytes, compared with numpy."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from oodguard.service.open_inference.request import Shape, flatten
from oodguard.service.open_inference.response import to_bytes

SIDES = st.integers(1, 4)
SHAPES = st.tuples(SIDES, SIDES, SIDES, st.just(3))


@given(SHAPES.flatmap(lambda shape: arrays(np.uint8, shape)))
def test_flatten_returns_the_bytes_of_flat_and_nested_arrays(values: NDArray[np.uint8]) -> None:
    n, height, width, channels = values.shape
    shape: Shape = (n, height, width, channels)
    assert flatten(values.tolist(), shape) == values.tobytes()
    assert flatten(values.ravel().tolist(), shape) == values.tobytes()


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("kind", ["f4", "f8", "i8", "?"])
def test_to_bytes_is_row_major_and_little_endian(order: str, kind: str) -> None:
    values = np.arange(12).reshape(3, 4).astype(order + kind)
    serialized = np.frombuffer(to_bytes(values.T), "<" + kind)
    np.testing.assert_array_equal(serialized, values.T.ravel())


def test_to_bytes_puts_the_length_before_each_string() -> None:
    assert to_bytes(["é", ""]) == b"\x02\x00\x00\x00\xc3\xa9\x00\x00\x00\x00"
