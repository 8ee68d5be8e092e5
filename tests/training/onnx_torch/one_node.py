"""A graph of one node, with the input x and constants."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

Array = NDArray[Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """An operator of x and constants; None is an omitted input."""

    operator: str
    x: Array
    others: tuple[Array | None, ...] = ()
    attributes: Mapping[str, Any] = field(default_factory=dict)
    outputs: int = 1

    def __str__(self) -> str:
        words = [f"{key}={value}" for key, value in self.attributes.items()]
        return " ".join((self.operator, str(list(self.x.shape)), *words))

    def model(self, *, opset: int = 20) -> onnx.ModelProto:
        named = {f"other_{n}": each for n, each in enumerate(self.others) if each is not None}
        inputs = [
            "x",
            *(f"other_{n}" if f"other_{n}" in named else "" for n in range(len(self.others))),
        ]
        outputs = [f"y_{number}" for number in range(self.outputs)]
        node = helper.make_node(self.operator, inputs, outputs, **self.attributes)
        return graph([node], self.x, outputs, named, opset=opset)


def graph(
    nodes: Sequence[onnx.NodeProto],
    x: Array,
    outputs: Sequence[str],
    constants: Mapping[str, Array],
    *,
    opset: int = 20,
) -> onnx.ModelProto:
    """Return nodes as a model with the input x; the other types are inferred."""
    kind = helper.np_dtype_to_tensor_dtype(x.dtype)
    made = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info("x", kind, x.shape)],
        [onnx.ValueInfoProto(name=name) for name in outputs],
        [numpy_helper.from_array(each, name) for name, each in constants.items()],
    )
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", opset)], ir_version=9)
