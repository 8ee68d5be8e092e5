"""calibration.safetensors: named score columns to bytes and back, without pickle."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from oodguard.models.errors import BundleError

TENSOR = "scores"

Columns = Mapping[str, NDArray[np.float32]]


def encode(columns: Columns, names: Sequence[str]) -> bytes:
    """Serialise columns `(n,)` as one float32 tensor `(n, S)` in the order of `names`.

    Rows stay as they came, so that the scores of one image stay together.

    Raises:
        BundleError: columns are missing, extra, not one-dimensional or of unequal length.
    """
    if set(columns) != set(names):
        raise BundleError(f"calibration has scores {sorted(columns)}; wanted {sorted(names)}")
    shapes = {columns[name].shape for name in names}
    if len(shapes) != 1 or len(next(iter(shapes))) != 1:
        raise BundleError(f"calibration columns have shapes {sorted(shapes)}; wanted one (n,)")
    table = np.stack([columns[name] for name in names], axis=1)
    return save({TENSOR: np.ascontiguousarray(table, dtype=np.float32)})


def decode(content: bytes, names: Sequence[str]) -> dict[str, NDArray[np.float32]]:
    """Read the columns `(n,)` back, each sorted ascending and read-only.

    Raises:
        BundleError: not such a file, columns that do not match `names`, no or non-finite scores.
    """
    try:
        tensors = load(content)
    except SafetensorError as error:
        raise BundleError(f"calibration.safetensors cannot be read ({error}); {REMEDY}") from error
    found = {name: (str(each.dtype), each.shape) for name, each in tensors.items()}
    table = tensors.get(TENSOR)
    if len(found) != 1 or table is None or not _fits(table, len(names)):
        raise BundleError(
            f"calibration.safetensors holds {found}; wanted one float32 tensor {TENSOR!r} of shape"
            f" (n, {len(names)}), one column each of {', '.join(names)}; {REMEDY}"
        )
    if not np.isfinite(table).all():
        raise BundleError(f"calibration.safetensors holds scores that are not finite; {REMEDY}")
    ordered = np.sort(table, axis=0)
    ordered.setflags(write=False)
    return {name: ordered[:, column] for column, name in enumerate(names)}


REMEDY = "export the bundle anew"


def _fits(table: NDArray[np.generic], columns: int) -> bool:
    return bool(
        table.dtype == np.float32
        and table.ndim == 2
        and table.shape[0] >= 1
        and table.shape[1] == columns
    )
