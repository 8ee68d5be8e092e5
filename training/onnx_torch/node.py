"""A node of an ONNX graph with its attributes as Python values."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import torch
from onnx import TensorProto, numpy_helper
from onnx.external_data_helper import uses_external_data
from torch import Tensor

from oodguard.models.errors import BundleError

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
"""ONNX element types by the dtype in torch."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Node:
    """An operator, the names of its tensors, and its attributes; "" is an omitted input."""

    operator: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any]

    def attribute(self, name: str, default: Any) -> Any:  # noqa: ANN401  (ONNX has eleven types)
        """Return an attribute, or the default that ONNX specifies."""
        return self.attributes.get(name, default)

    def require(self, name: str, value: object) -> None:
        """Check that an optional attribute is omitted or has the only supported value.

        Raises:
            BundleError: It has another value.
        """
        found = self.attributes.get(name, value)
        if found != value:
            raise unsupported(f"{self.operator} with {name} {found!r}")


Operator = Callable[..., Tensor | tuple[Tensor, ...]]
"""`(node, *inputs)` to the node's outputs; inputs are in ONNX's order, None for an omitted one."""


def parse_node(node: onnx.NodeProto) -> Node:
    """Parse a node; the name of an operator of another domain than ONNX's includes the domain."""
    standard = node.domain in {"", "ai.onnx"}
    return Node(
        operator=node.op_type if standard else f"{node.domain}.{node.op_type}",
        inputs=tuple(node.input),
        outputs=tuple(node.output),
        attributes={each.name: _value(each) for each in node.attribute},
    )


def as_tensor(stored: TensorProto) -> Tensor:
    """Return a stored tensor.

    Raises:
        BundleError: It is in a separate file, or of an unsupported type.
    """
    # A separate file is not part of the bundle, so its hash is not verified.
    if uses_external_data(stored):
        raise BundleError(
            f"model.onnx: {stored.name} is stored in another file. Export the model as one file."
        )
    return torch.from_numpy(np.array(numpy_helper.to_array(stored))).to(dtype_of(stored.data_type))


def dtype_of(kind: int) -> torch.dtype:
    """Return the torch dtype of an ONNX element type.

    Raises:
        BundleError: The type is not supported.
    """
    if kind not in DTYPES:
        raise unsupported(f"numbers of type {TensorProto.DataType.Name(kind)}")
    return DTYPES[kind]


class UnsupportedGraph(BundleError):
    """The graph of a bundle has a part that torch cannot run here."""


def unsupported(what: str) -> UnsupportedGraph:
    """Return the error about a part of a graph that cannot be run in torch."""
    return UnsupportedGraph(
        f"model.onnx has {what}, which is not supported in torch here, so that there are no"
        " gradients for an attack"
    )


def _value(attribute: onnx.AttributeProto) -> Any:  # noqa: ANN401
    value = onnx.helper.get_attribute_value(attribute)
    if isinstance(value, bytes):
        return value.decode()
    return as_tensor(value) if isinstance(value, onnx.TensorProto) else value
