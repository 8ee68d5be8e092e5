"""Read the arrays of a safetensors file that anybody may have written."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load

MAX_HEADER_BYTES = 2**16
"""Of the names, types and shapes: some hundred tensors. Of 27 MB they took 600 MB and 46 s."""

_LENGTH_BYTES = 8
"""The file starts with the length of its header, a little-endian integer."""


def load_arrays(content: bytes) -> dict[str, NDArray[Any]]:
    """Return the arrays by name.

    Raises:
        ValueError: The header is too large, or the content is not a safetensors file of NumPy
            arrays: NumPy has no bfloat16, for example, and no arrays of a hundred dimensions.
    """
    header_bytes = int.from_bytes(content[:_LENGTH_BYTES], "little")
    if len(content) - _LENGTH_BYTES >= header_bytes > MAX_HEADER_BYTES:
        raise ValueError(
            f"the header has {header_bytes} bytes, expected at most {MAX_HEADER_BYTES}"
        )
    try:
        arrays: dict[str, NDArray[np.generic]] = load(content)
    except KeyError as error:
        raise ValueError(f"NumPy has no type {error}") from error
    except SafetensorError as error:
        raise ValueError(str(error)) from error
    return arrays
