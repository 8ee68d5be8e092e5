"""Encode and decode calibration.safetensors: score columns without pickle."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from oodguard.models.errors import BundleError

TENSOR = "scores"
REMEDY = "export the bundle again"


def encode(columns: Mapping[str, NDArray[np.float32]], names: Sequence[str]) -> bytes:
    """Serialize columns `(n,)` as one float32 tensor `(n, S)` in the order of `names`.

    The rows keep their order, so that one row holds the scores of one image.

    Raises:
        BundleError: A column is missing, unexpected, not one-dimensional or of another length.
    """
    if set(columns) != set(names):
        raise BundleError(f"The calibration has scores {sorted(columns)}, expected {sorted(names)}")
    shapes = {columns[name].shape for name in names}
    if len(shapes) != 1 or len(next(iter(shapes))) != 1:
        raise BundleError(
            f"The calibration columns have shapes {sorted(shapes)}, expected one shape (n,)"
        )
    table = np.stack([columns[name] for name in names], axis=1)
    return save({TENSOR: np.ascontiguousarray(table, dtype=np.float32)})


def decode(content: bytes, names: Sequence[str]) -> dict[str, NDArray[np.float32]]:
    """Return the columns `(n,)`, each sorted ascending and read-only.

    Raises:
        BundleError: The file is invalid, its columns do not match `names`, or it holds no scores
            or scores that are not finite.
    """
    try:
        tensors = load(content)
    except SafetensorError as error:
        raise BundleError(
            f"calibration.safetensors is not a valid safetensors file; {REMEDY}"
        ) from error
    found = {name: (str(each.dtype), each.shape) for name, each in tensors.items()}
    table = tensors.get(TENSOR)
    if len(found) != 1 or table is None or not _fits(table, len(names)):
        raise BundleError(
            f"calibration.safetensors holds {found}, expected one float32 tensor {TENSOR!r} of"
            f" shape (n, {len(names)}), one column each of {', '.join(names)}; {REMEDY}"
        )
    if not np.isfinite(table).all():
        raise BundleError(f"calibration.safetensors holds scores that are not finite; {REMEDY}")
    ordered = np.sort(table, axis=0)
    ordered.setflags(write=False)
    return {name: ordered[:, column] for column, name in enumerate(names)}


def _fits(table: NDArray[np.generic], columns: int) -> bool:
    return bool(
        table.dtype == np.float32
        and table.ndim == 2
        and table.shape[0] >= 1
        and table.shape[1] == columns
    )
