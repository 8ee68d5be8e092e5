import json

import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors.numpy import load, save

from oodguard.models.calibration_file import decode, encode
from oodguard.models.calibration_rows import CalibrationRows
from oodguard.models.errors import BundleError

A: NDArray[np.float32] = np.array([3, 1, 2], dtype=np.float32)
B: NDArray[np.float32] = np.array([-1, -2, -3], dtype=np.float32)
INDICES: NDArray[np.int32] = np.array([2, 0, 1], dtype=np.int32)


def test_calibration_file_keeps_rows_and_the_order_of_columns() -> None:
    (table,) = load(encode(CalibrationRows(scores={"a": A, "b": B}), ("b", "a"))).values()
    assert table.tolist() == [[-1, 3], [-2, 1], [-3, 2]]
    assert table.dtype == np.float32


def test_calibration_file_returns_every_array_of_the_rows() -> None:
    rows = CalibrationRows(
        scores={"a": A, "b": B},
        predicted=INDICES,
        labels=INDICES[::-1],
        groups=INDICES * 0,
        attacked={2: A + 1, 8: A + 5},
        qualities={"brightness": B},
    )
    found = decode(encode(rows, ("a", "b")), ("a", "b"))
    assert {name: array.tolist() for name, array in found.arrays().items()} == {
        "scores.a": [3, 1, 2],
        "scores.b": [-1, -2, -3],
        "predicted": [2, 0, 1],
        "labels": [1, 0, 2],
        "groups": [0, 0, 0],
        "attacked.2": [4, 2, 3],
        "attacked.8": [8, 6, 7],
        "qualities.brightness": [-1, -2, -3],
    }
    assert all(not array.flags.writeable for array in found.arrays().values())


def test_calibration_rows_return_each_score_sorted() -> None:
    columns = CalibrationRows(scores={"a": A, "b": B}).ordered()
    assert columns["a"].tolist() == [1, 2, 3]
    assert columns["b"].tolist() == [-3, -2, -1]


SCORES: NDArray[np.float32] = np.zeros((3, 2), np.float32)


@pytest.mark.parametrize(
    "tensors",
    [
        {},
        {"other": SCORES},
        {"scores": SCORES, "other": np.zeros(3, np.float32)},
        {"scores": np.zeros((3, 2), np.float64)},
        {"scores": np.zeros((3, 1), np.float32)},
        {"scores": np.zeros(2, np.float32)},
        {"scores": SCORES, "labels": np.zeros(3, np.int64)},
        {"scores": SCORES, "labels": np.zeros((3, 1), np.int32)},
        {"scores": SCORES, "attacked.2": np.zeros(3, np.int32)},
        {"scores": SCORES, "attacked.": A},
        {"scores": SCORES, "attacked.-2": A},
        {"scores": SCORES, "attacked.\u00b2": A},
        {"scores": SCORES, "attacked.02": A},
        {"scores": SCORES, "attacked." + "9" * 5000: A},
        {"scores": SCORES, "qualities.": A},
        {"scores": SCORES, "qualities.\x1b[2J": A},
        {"scores": SCORES, "qualities." + "a" * 1000: A},
        {"scores": SCORES, **{f"x{number}": A for number in range(500)}},
    ],
)
def test_calibration_file_rejects_other_tensors(
    tensors: dict[str, NDArray[np.float32]],
) -> None:
    with pytest.raises(BundleError, match="expected a float32 tensor 'scores'") as raised:
        decode(save(tensors), ("a", "b"))
    assert len(message := str(raised.value)) < 500
    assert message.isprintable()


@pytest.mark.parametrize(
    ("tensors", "complaint"),
    [
        ({"scores": np.zeros((0, 2), np.float32)}, r"shapes \[\(0,\)\], expected one shape"),
        ({"scores": SCORES, "labels": INDICES[:2]}, r"shapes \[\(2,\), \(3,\)\], expected one"),
        ({"scores": SCORES, "groups": INDICES - 1}, "column groups holds -1, expected indices"),
        ({"scores": SCORES, "attacked.2": A * np.nan}, "column attacked.2 holds values that are"),
    ],
)
def test_calibration_file_rejects_invalid_rows(
    tensors: dict[str, NDArray[np.float32]], complaint: str
) -> None:
    with pytest.raises(BundleError, match=complaint):
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


@pytest.mark.parametrize("kind", ["BF16", "F8_E4M3", "F4", "F6_E2M3"])
def test_calibration_file_rejects_types_that_numpy_lacks(kind: str) -> None:
    with pytest.raises(BundleError, match="not a valid safetensors file of NumPy arrays"):
        decode(_file(kind, [16], 16), ("a",))


@pytest.mark.parametrize("shape", [[2**62, 0], [0, 2**63], [1] * 100])
def test_calibration_file_rejects_shapes_that_numpy_lacks(shape: list[int]) -> None:
    with pytest.raises(BundleError, match="not a valid safetensors file of NumPy arrays"):
        decode(_file("F32", shape, 0 if 0 in shape else 4), ("a",))


def test_calibration_file_limits_its_header() -> None:
    """The names and shapes of 300,000 tensors took 600 MB and 46 s."""
    with pytest.raises(BundleError, match="header has 70070 bytes, expected at most 65536"):
        decode(_file("F32", [1], 4, name="qualities." + "a" * 70_000), ("a",))


def _file(kind: str, shape: list[int], size: int, *, name: str = "scores") -> bytes:
    """Return a file of one tensor, which NumPy may be unable to write."""
    record = {"dtype": kind, "shape": shape, "data_offsets": [0, size]}
    header = json.dumps({name: record}).encode()
    return len(header).to_bytes(8, "little") + header + bytes(size)


def test_calibration_rows_reject_a_column_that_is_not_one_dimensional() -> None:
    with pytest.raises(BundleError, match=r"shapes \[\(3, 1\)\], expected one shape \(n,\)"):
        CalibrationRows(scores={"a": A[:, None]})


def test_calibration_file_renumbers_groups() -> None:
    """An array with a place for each number up to 2**31 - 1 takes 16 GiB."""
    table = np.arange(3, dtype=np.float32)[:, None]
    groups = np.array([2**31 - 1, 7, 2**31 - 1], np.int32)
    rows = decode(save({"scores": table, "groups": groups}), ("a",))
    assert rows.groups is not None
    assert rows.groups.tolist() == [1, 0, 1]
