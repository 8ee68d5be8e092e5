"""One node of an ONNX graph, its attributes as Python values."""

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


@dataclass(frozen=True, kw_only=True, slots=True)
class Node:
    """An operator with what it reads and writes, by name; an input left out has the name ""."""

    operator: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any]

    def attribute(self, name: str, default: Any) -> Any:  # noqa: ANN401  (ONNX has eleven types)
        """Return an attribute, or the default that ONNX gives it."""
        return self.attributes.get(name, default)

    def expect(self, name: str, value: object) -> None:
        """See that an attribute that may be left out has the only value that is understood.

        Raises:
            BundleError: it has another one.
        """
        found = self.attributes.get(name, value)
        if found != value:
            raise unsupported(f"{self.operator} with {name} {found!r}")


Operator = Callable[..., Tensor | tuple[Tensor, ...]]
"""`(node, *inputs)`, in ONNX's order, None for one that is left out, to the node's outputs."""


def parse_node(node: onnx.NodeProto) -> Node:
    """Read a node; an operator of another domain than ONNX's own is named with it."""
    own = node.domain in {"", "ai.onnx"}
    return Node(
        operator=node.op_type if own else f"{node.domain}.{node.op_type}",
        inputs=tuple(node.input),
        outputs=tuple(node.output),
        attributes={each.name: _value(each) for each in node.attribute},
    )


def unsupported(what: str) -> BundleError:
    """Return the error that says what of a graph torch does not run here."""
    return BundleError(
        f"model.onnx has {what}, which cannot be run in torch here, so there are no gradients to"
        " attack it with; evaluate the run instead of the bundle"
    )


def _value(attribute: onnx.AttributeProto) -> Any:  # noqa: ANN401
    value = onnx.helper.get_attribute_value(attribute)
    if isinstance(value, bytes):
        return value.decode()
    return as_tensor(value) if isinstance(value, onnx.TensorProto) else value
