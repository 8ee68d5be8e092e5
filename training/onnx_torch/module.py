"""An ONNX graph as a torch module: its nodes in order, each by a torch function."""

from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass

import onnx
import torch
from torch import Tensor, nn

from training.onnx_torch.constants import as_tensor
from training.onnx_torch.node import Node, Operator, not_run, parse_node
from training.onnx_torch.operators import OPERATORS

OLDEST_OPSET = 13
"""Since then the operators mean what is written here; the exporter writes 18 or later."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """A node and the function that runs it; after it nobody asks for `finished` any more."""

    node: Node
    run: Operator
    finished: tuple[str, ...]


class OnnxModule(nn.Module):
    """Maps a graph's one input to the tensors named `outputs`, with gradients.

    What none of them depends on is not run. Stored weights are buffers, so that they move with the
    module and an attack has nothing to hold still.

    Raises:
        BundleError: an operator, a type of numbers or an opset that is not run here.
    """

    def __init__(self, model: onnx.ModelProto, *, outputs: Sequence[str]) -> None:
        super().__init__()
        _check_opset(model)
        constants = {each.name: each for each in model.graph.initializer}
        self.takes = _only_input(model.graph, constants)
        self.outputs = tuple(outputs)
        nodes = _needed([parse_node(each) for each in model.graph.node], self.outputs)
        missing = set(self.outputs).difference(*(node.outputs for node in nodes))
        if missing:
            raise not_run(f"no tensor {', '.join(sorted(missing))}")
        self._steps = _steps([node for node in nodes if node.operator != "Constant"], self.outputs)
        stored = {name: as_tensor(constants[name]) for name in _read(nodes) if name in constants}
        stored |= {n.outputs[0]: _constant(n) for n in nodes if n.operator == "Constant"}
        # Names of buffers have no dots, those of ONNX do.
        self._buffer_of = {name: f"constant_{place}" for place, name in enumerate(stored)}
        for name, value in stored.items():
            self.register_buffer(self._buffer_of[name], value)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Run the graph on its input; uint8 images may come as float, with fractions."""
        values: dict[str, Tensor | None] = {
            name: getattr(self, buffer) for name, buffer in self._buffer_of.items()
        }
        values |= {"": None, self.takes: images}
        for step in self._steps:
            node = step.node
            found = step.run(node, *(values[name] for name in node.inputs))
            values.update(_named(node, found))
            for name in step.finished:
                del values[name]
        return tuple(value for name in self.outputs if (value := values[name]) is not None)


def _check_opset(model: onnx.ModelProto) -> None:
    versions = [each.version for each in model.opset_import if each.domain in {"", "ai.onnx"}]
    if min(versions, default=0) < OLDEST_OPSET:
        raise not_run(f"opset {min(versions, default=0)}, older than {OLDEST_OPSET}")


def _only_input(graph: onnx.GraphProto, constants: Container[str]) -> str:
    names: list[str] = [each.name for each in graph.input if each.name not in constants]
    if len(names) != 1:
        raise not_run(f"{len(names)} inputs in place of one")
    return names[0]


def _needed(nodes: Sequence[Node], outputs: Iterable[str]) -> list[Node]:
    """Return the nodes that some output depends on, in the order that they came in."""
    wanted, kept = set(outputs), []
    for node in reversed(nodes):
        if not wanted.isdisjoint(node.outputs):
            wanted.update(node.inputs)
            kept.append(node)
    return kept[::-1]


def _read(nodes: Iterable[Node]) -> list[str]:
    """Return all names that nodes read, each once."""
    return list(dict.fromkeys(name for node in nodes for name in node.inputs))


def _steps(nodes: Sequence[Node], outputs: Sequence[str]) -> list[Step]:
    steps: list[Step] = []
    made = {name for node in nodes for name in node.outputs if name}
    seen = set(outputs)
    for node in reversed(nodes):
        if node.operator not in OPERATORS:
            raise not_run(f"the operator {node.operator}")
        # Results that nobody asks for go at once; without gradients that keeps the memory small.
        last = {*node.inputs, *node.outputs} & made - seen
        seen |= last
        steps.append(Step(node=node, run=OPERATORS[node.operator], finished=tuple(last)))
    return steps[::-1]


def _constant(node: Node) -> Tensor:
    ((form, value),) = node.attributes.items()
    if form in {"value_float", "value_floats", "value_int", "value_ints"}:
        return torch.tensor(value)
    if form != "value":
        raise not_run(f"a Constant with {form}")
    tensor: Tensor = value
    return tensor


def _named(node: Node, found: Tensor | tuple[Tensor, ...]) -> dict[str, Tensor]:
    results = found if isinstance(found, tuple) else (found,)
    if any(node.outputs[len(results) :]):
        raise not_run(f"{node.operator} with {len(node.outputs)} outputs")
    return {name: value for name, value in zip(node.outputs, results, strict=False) if name}
