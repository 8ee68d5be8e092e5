"""Stored tensors of an ONNX graph as torch's."""

from collections.abc import Mapping

import numpy as np
import torch
from onnx import TensorProto, numpy_helper
from onnx.external_data_helper import uses_external_data
from torch import Tensor

from models.errors import BundleError

DTYPES: Mapping[int, torch.dtype] = {
    TensorProto.FLOAT: torch.float32,
    TensorProto.DOUBLE: torch.float64,
    TensorProto.FLOAT16: torch.float16,
    TensorProto.INT8: torch.int8,
    TensorProto.INT16: torch.int16,
    TensorProto.INT32: torch.int32,
    TensorProto.INT64: torch.int64,
    TensorProto.UINT8: torch.uint8,
    TensorProto.BOOL: torch.bool,
}
"""ONNX's types of numbers by torch's."""


def as_tensor(stored: TensorProto) -> Tensor:
    """Read a stored tensor.

    Raises:
        BundleError: it is in a file of its own, or of a type that torch does not have.
    """
    # Such a file is none of the bundle's, so nobody has hashed it.
    if uses_external_data(stored):
        raise BundleError(f"model.onnx keeps {stored.name} in another file; export it as one file")
    return torch.from_numpy(np.array(numpy_helper.to_array(stored))).to(dtype_of(stored.data_type))


def dtype_of(kind: int) -> torch.dtype:
    """Return torch's type for one of ONNX's.

    Raises:
        BundleError: there is none.
    """
    if kind not in DTYPES:
        name = TensorProto.DataType.Name(kind)
        raise BundleError(
            f"model.onnx has numbers of type {name}, which cannot be run in torch here;"
            " evaluate the run instead of the bundle"
        )
    return DTYPES[kind]
