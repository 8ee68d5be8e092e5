import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors.numpy import load, save

from oodguard.models.calibration_file import decode, encode
from oodguard.models.errors import BundleError

A: NDArray[np.float32] = np.array([3, 1, 2], dtype=np.float32)
B: NDArray[np.float32] = np.array([-1, -2, -3], dtype=np.float32)


def test_calibration_file_keeps_rows_and_the_order_of_columns() -> None:
    (table,) = load(encode({"a": A, "b": B}, ("b", "a"))).values()
    assert table.tolist() == [[-1, 3], [-2, 1], [-3, 2]]
    assert table.dtype == np.float32


def test_calibration_file_returns_each_column_sorted() -> None:
    columns = decode(encode({"a": A, "b": B}, ("a", "b")), ("a", "b"))
    assert columns["a"].tolist() == [1, 2, 3]
    assert columns["b"].tolist() == [-3, -2, -1]


@pytest.mark.parametrize(
    "tensors",
    [
        {},
        {"other": np.zeros((3, 2), np.float32)},
        {"scores": np.zeros((3, 2), np.float32), "other": np.zeros(1, np.float32)},
        {"scores": np.zeros((3, 2), np.float64)},
        {"scores": np.zeros((3, 1), np.float32)},
        {"scores": np.zeros((0, 2), np.float32)},
        {"scores": np.zeros(2, np.float32)},
    ],
)
def test_calibration_file_rejects_other_tensors(
    tensors: dict[str, NDArray[np.float32]],
) -> None:
    with pytest.raises(BundleError, match="expected one float32 tensor 'scores'"):
        decode(save(tensors), ("a", "b"))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_calibration_file_rejects_scores_that_are_not_finite(value: float) -> None:
    table = np.array([[0.0], [value]], dtype=np.float32)
    with pytest.raises(BundleError, match="not finite"):
        decode(save({"scores": table}), ("a",))


@pytest.mark.parametrize("content", [b"", b"not safetensors", b"\x80\x04N.", b"\xff" * 64])
def test_calibration_file_rejects_other_formats(content: bytes) -> None:
    with pytest.raises(BundleError, match=r"not a valid safetensors file"):
        decode(content, ("a",))


def test_calibration_file_rejects_a_column_that_is_not_one_dimensional() -> None:
    with pytest.raises(BundleError, match=r"shapes \[\(3, 1\)\], expected one shape \(n,\)"):
        encode({"a": A[:, None]}, ("a",))
