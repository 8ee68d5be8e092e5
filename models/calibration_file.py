"""Encode and decode calibration.safetensors: calibration rows without pickle.

The float32 tensor `scores` `(n, S)` has a column for each score of the manifest, in its order. The
other tensors `(n,)` exist if the rows have them, under the names of `CalibrationRows.arrays`:
`predicted`, `labels` and `groups` are int32; `attacked.BUDGET` and `qualities.NAME` are float32.
Bundles of other people are read, too: the names and shapes of the tensors are bounded.
"""

import re
from collections.abc import Mapping, Sequence
from itertools import islice
from reprlib import repr as short

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save

from oodguard.models.calibration_rows import CalibrationRows
from oodguard.models.errors import BundleError
from oodguard.models.safe_arrays import load_arrays

SCORES = "scores"
GROUPS = "groups"
INDICES = ("predicted", "labels", GROUPS)
ATTACKED, QUALITIES = "attacked.", "qualities."

_COLUMN = re.compile(r"attacked\.[1-9][0-9]{0,2}|qualities\.[a-z][a-z0-9_]{0,63}")

_SHOWN = 3

REMEDY = "export the bundle again"


def encode(rows: CalibrationRows, names: Sequence[str]) -> bytes:
    """Serialize calibration rows whose scores have these names.

    Raises:
        BundleError: A score is missing or unexpected.
    """
    if set(rows.scores) != set(names):
        raise BundleError(
            f"The calibration has scores {sorted(rows.scores)}, expected {sorted(names)}"
        )
    table = np.stack([rows.scores[name] for name in names], axis=1)
    tensors = {SCORES: np.ascontiguousarray(table, dtype=np.float32)}
    for name, array in rows.arrays().items():
        if not name.startswith(f"{SCORES}."):
            dtype = np.int32 if name in INDICES else np.float32
            tensors[name] = np.ascontiguousarray(array, dtype=dtype)
    return save(tensors)


def decode(content: bytes, names: Sequence[str]) -> CalibrationRows:
    """Return the rows of calibration.safetensors; their arrays are read-only.

    Raises:
        BundleError: The file is invalid, or its tensors are not those of the format.
    """
    try:
        tensors = load_arrays(content)
    except ValueError as error:
        raise BundleError(
            f"calibration.safetensors is not a valid safetensors file of NumPy arrays: {error};"
            f" {REMEDY}"
        ) from error
    unexpected = [name for name, each in tensors.items() if not _fits(name, each, len(names))]
    if unexpected or SCORES not in tensors:
        first = islice(sorted(tensors, key=lambda name: name not in unexpected), _SHOWN)
        found = ", ".join(f"{short(name)}: {_kind(tensors[name])}" for name in first)
        more = f" and {len(tensors) - _SHOWN} more" if len(tensors) > _SHOWN else ""
        raise BundleError(
            f"calibration.safetensors holds {found or 'nothing'}{more}, expected a float32 tensor"
            f" {SCORES!r} of shape (n, {len(names)}), one column each of {', '.join(names)}, and"
            f" perhaps the int32 tensors {', '.join(INDICES)} and float32 tensors {ATTACKED}BUDGET"
            f" and {QUALITIES}NAME of shape (n,); {REMEDY}"
        )
    if GROUPS in tensors and tensors[GROUPS].min(initial=0) >= 0:
        # Arrays with a place for each number take 16 GiB for the largest one.
        tensors[GROUPS] = np.unique(tensors[GROUPS], return_inverse=True)[1].astype(np.int32)
    for each in tensors.values():
        each.setflags(write=False)
    table = tensors[SCORES]
    try:
        return CalibrationRows(
            scores={name: table[:, column] for column, name in enumerate(names)},
            **{name: tensors[name] for name in INDICES if name in tensors},
            attacked={int(name): each for name, each in _below(ATTACKED, tensors).items()},
            qualities=_below(QUALITIES, tensors),
        )
    except BundleError as error:
        raise BundleError(f"calibration.safetensors: {error}; {REMEDY}") from error


def _below(
    prefix: str, tensors: Mapping[str, NDArray[np.float32]]
) -> dict[str, NDArray[np.float32]]:
    """Return the tensors whose names start with a prefix, by the rest of the name."""
    return {
        name.removeprefix(prefix): each
        for name, each in sorted(tensors.items())
        if name.startswith(prefix)
    }


def _fits(name: str, tensor: NDArray[np.generic], scores: int) -> bool:
    if name == SCORES:
        return tensor.dtype == np.float32 and tensor.ndim == 2 and tensor.shape[1] == scores
    if name in INDICES:
        return tensor.dtype == np.int32 and tensor.ndim == 1
    is_known = _COLUMN.fullmatch(name) is not None
    return is_known and tensor.dtype == np.float32 and tensor.ndim == 1


def _kind(tensor: NDArray[np.generic]) -> str:
    """Return the type and the shape of a tensor as text."""
    return f"{tensor.dtype} {short(tensor.shape)}"
