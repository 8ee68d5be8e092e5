"""An ONNX graph as a torch module: its nodes in order, each run by a torch function."""

from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass

import onnx
import torch
from torch import Tensor, nn

from oodguard.training.onnx_torch.node import Node, Operator, as_tensor, parse_node, unsupported
from oodguard.training.onnx_torch.operators import OPERATORS

OLDEST_OPSET = 13
"""Older opsets define some operators differently; the exporter writes 18 or later."""


@dataclass(frozen=True, kw_only=True, slots=True)
class GraphStep:
    """A node, the function that runs it, and the tensors that no later step reads."""

    node: Node
    run: Operator
    finished: tuple[str, ...]


class OnnxModule(nn.Module):
    """Maps the only input of a graph to the tensors named `outputs`, with gradients.

    Nodes that no output depends on are not run. Stored weights are buffers, so that they move with
    the module and have no gradients.

    Raises:
        BundleError: An operator, an element type or the opset is not supported.
    """

    def __init__(self, model: onnx.ModelProto, *, outputs: Sequence[str]) -> None:
        super().__init__()
        _check_opset(model)
        constants = {each.name: each for each in model.graph.initializer}
        self.input_name = _only_input(model.graph, constants)
        self.outputs = tuple(outputs)
        nodes = _needed([parse_node(each) for each in model.graph.node], self.outputs)
        missing = set(self.outputs).difference(*(node.outputs for node in nodes))
        if missing:
            raise unsupported(f"no tensor {', '.join(sorted(missing))}")
        self._steps = _steps([node for node in nodes if node.operator != "Constant"], self.outputs)
        read = dict.fromkeys(name for node in nodes for name in node.inputs)
        stored = {name: as_tensor(constants[name]) for name in read if name in constants}
        stored |= {n.outputs[0]: _constant(n) for n in nodes if n.operator == "Constant"}
        # Names of buffers must not contain dots, and those of ONNX do.
        self._buffer_of = {name: f"constant_{index}" for index, name in enumerate(stored)}
        for name, value in stored.items():
            self.register_buffer(self._buffer_of[name], value)

    def constant(self, name: str) -> Tensor:
        """Return a stored tensor of the graph."""
        stored: Tensor = getattr(self, self._buffer_of[name])
        return stored

    def replace_constant(self, name: str, value: Tensor) -> None:
        """Run with another value of a stored tensor; gradients pass to it."""
        setattr(self, self._buffer_of[name], value)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Run the graph on its input; a uint8 input may be given as float with fractions."""
        values: dict[str, Tensor | None] = {
            name: getattr(self, buffer) for name, buffer in self._buffer_of.items()
        }
        values |= {"": None, self.input_name: images}
        for step in self._steps:
            node = step.node
            results = step.run(node, *(values[name] for name in node.inputs))
            values.update(_by_name(node, results))
            for name in step.finished:
                del values[name]
        return tuple(value for name in self.outputs if (value := values[name]) is not None)


def _check_opset(model: onnx.ModelProto) -> None:
    versions = [each.version for each in model.opset_import if each.domain in {"", "ai.onnx"}]
    if min(versions, default=0) < OLDEST_OPSET:
        raise unsupported(f"opset {min(versions, default=0)}, older than {OLDEST_OPSET}")


def _only_input(graph: onnx.GraphProto, constants: Container[str]) -> str:
    names: list[str] = [each.name for each in graph.input if each.name not in constants]
    if len(names) != 1:
        raise unsupported(f"{len(names)} inputs instead of one")
    return names[0]


def _needed(nodes: Sequence[Node], outputs: Iterable[str]) -> list[Node]:
    """Return the nodes that an output depends on, in their order."""
    names, needed = set(outputs), []
    for node in reversed(nodes):
        if not names.isdisjoint(node.outputs):
            names.update(node.inputs)
            needed.append(node)
    return needed[::-1]


def _steps(nodes: Sequence[Node], outputs: Sequence[str]) -> list[GraphStep]:
    steps: list[GraphStep] = []
    computed = {name for node in nodes for name in node.outputs if name}
    read_later = set(outputs)
    for node in reversed(nodes):
        if node.operator not in OPERATORS:
            raise unsupported(f"the operator {node.operator}")
        # Tensors are released after their last use, which saves memory when there are no gradients.
        last = {*node.inputs, *node.outputs} & computed - read_later
        read_later |= last
        steps.append(GraphStep(node=node, run=OPERATORS[node.operator], finished=tuple(last)))
    return steps[::-1]


def _constant(node: Node) -> Tensor:
    ((form, value),) = node.attributes.items()
    if form in {"value_float", "value_floats", "value_int", "value_ints"}:
        return torch.tensor(value)
    if form != "value":
        raise unsupported(f"a Constant with {form}")
    tensor: Tensor = value
    return tensor


def _by_name(node: Node, results: Tensor | tuple[Tensor, ...]) -> dict[str, Tensor]:
    results = results if isinstance(results, tuple) else (results,)
    if any(node.outputs[len(results) :]):
        raise unsupported(f"{node.operator} with {len(node.outputs)} outputs")
    return {name: value for name, value in zip(node.outputs, results, strict=False) if name}
