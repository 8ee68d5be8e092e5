"""An ONNX graph as a torch module: its nodes in order, each by a torch function."""

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass

import onnx
import torch
from torch import Tensor, nn
from torch.nn import functional

from oodguard.training.onnx_torch import elementwise, layers, shapes
from oodguard.training.onnx_torch import elementwise as reductions
from oodguard.training.onnx_torch import layers as windows
from oodguard.training.onnx_torch import shapes as indexing
from oodguard.training.onnx_torch.elementwise import arg, folded, plain, reduced
from oodguard.training.onnx_torch.node import Node, Operator, as_tensor, parse_node, unsupported

OPERATORS: Mapping[str, Operator] = {
    # layers
    "AveragePool": windows.average_pool,
    "BatchNormalization": layers.batch_normalization,
    "Conv": windows.conv,
    "Dropout": elementwise.identity,
    "Einsum": layers.einsum,
    "Gemm": layers.gemm,
    "GlobalAveragePool": windows.global_average_pool,
    "GlobalMaxPool": windows.global_max_pool,
    "InstanceNormalization": layers.instance_normalization,
    "LRN": layers.lrn,
    "LayerNormalization": layers.layer_normalization,
    "LogSoftmax": layers.log_softmax,
    "MatMul": plain(torch.matmul),
    "MaxPool": windows.max_pool,
    "Softmax": layers.softmax,
    # activations
    "Clip": elementwise.clip,
    "Elu": elementwise.elu,
    "Gelu": elementwise.gelu,
    "HardSigmoid": elementwise.hard_sigmoid,
    "HardSwish": plain(functional.hardswish),
    "LeakyRelu": elementwise.leaky_relu,
    "Mish": plain(functional.mish),
    "PRelu": elementwise.prelu,
    "Relu": plain(torch.relu),
    "Sigmoid": plain(torch.sigmoid),
    "Softplus": plain(functional.softplus),
    "Tanh": plain(torch.tanh),
    # arithmetic
    "Abs": plain(torch.abs),
    "Add": plain(torch.add),
    "Ceil": plain(torch.ceil),
    "Div": elementwise.div,
    "Erf": plain(torch.erf),
    "Exp": plain(torch.exp),
    "Floor": plain(torch.floor),
    "Log": plain(torch.log),
    "Max": folded(torch.maximum),
    "Min": folded(torch.minimum),
    "Mod": elementwise.mod,
    "Mul": plain(torch.mul),
    "Neg": plain(torch.neg),
    "Pow": elementwise.power,
    "Reciprocal": plain(torch.reciprocal),
    "Round": plain(torch.round),
    "Sign": plain(torch.sign),
    "Sqrt": plain(torch.sqrt),
    "Sub": plain(torch.sub),
    "Sum": folded(torch.add),
    # comparisons
    "And": plain(torch.logical_and),
    "Equal": plain(torch.eq),
    "Greater": plain(torch.gt),
    "GreaterOrEqual": plain(torch.ge),
    "Less": plain(torch.lt),
    "LessOrEqual": plain(torch.le),
    "Not": plain(torch.logical_not),
    "Or": plain(torch.logical_or),
    "Where": plain(torch.where),
    # one number of many
    "ArgMax": arg(torch.argmax),
    "ArgMin": arg(torch.argmin),
    "ReduceL1": reduced(reductions.l1),
    "ReduceL2": reduced(reductions.l2),
    "ReduceLogSum": reduced(reductions.log_sum),
    "ReduceLogSumExp": reduced(torch.logsumexp),
    "ReduceMax": reduced(torch.amax),
    "ReduceMean": reduced(torch.mean),
    "ReduceMin": reduced(torch.amin),
    "ReduceSum": reduced(torch.sum),
    "ReduceSumSquare": reduced(reductions.sum_square),
    "TopK": reductions.top_k,
    # some of the numbers
    "Gather": indexing.gather,
    "GatherElements": indexing.gather_elements,
    "GatherND": indexing.gather_nd,
    "Slice": indexing.slice_,
    "Split": shapes.split,
    # the same numbers, arranged anew
    "Cast": elementwise.cast,
    "Concat": shapes.concat,
    "ConstantOfShape": shapes.constant_of_shape,
    "Expand": shapes.expand,
    "Flatten": shapes.flatten,
    "Identity": elementwise.identity,
    "Pad": shapes.pad,
    "Reshape": shapes.reshape,
    "Shape": shapes.shape,
    "Squeeze": shapes.squeeze,
    "Tile": shapes.tile,
    "Transpose": shapes.transpose,
    "Unsqueeze": shapes.unsqueeze,
}

OLDEST_OPSET = 13
"""Since then the operators mean what is written here; the exporter writes 18 or later."""


@dataclass(frozen=True, kw_only=True, slots=True)
class GraphStep:
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
            raise unsupported(f"no tensor {', '.join(sorted(missing))}")
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
        raise unsupported(f"opset {min(versions, default=0)}, older than {OLDEST_OPSET}")


def _only_input(graph: onnx.GraphProto, constants: Container[str]) -> str:
    names: list[str] = [each.name for each in graph.input if each.name not in constants]
    if len(names) != 1:
        raise unsupported(f"{len(names)} inputs in place of one")
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


def _steps(nodes: Sequence[Node], outputs: Sequence[str]) -> list[GraphStep]:
    steps: list[GraphStep] = []
    made = {name for node in nodes for name in node.outputs if name}
    seen = set(outputs)
    for node in reversed(nodes):
        if node.operator not in OPERATORS:
            raise unsupported(f"the operator {node.operator}")
        # Results that nobody asks for go at once; without gradients that keeps the memory small.
        last = {*node.inputs, *node.outputs} & made - seen
        seen |= last
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


def _named(node: Node, found: Tensor | tuple[Tensor, ...]) -> dict[str, Tensor]:
    results = found if isinstance(found, tuple) else (found,)
    if any(node.outputs[len(results) :]):
        raise unsupported(f"{node.operator} with {len(node.outputs)} outputs")
    return {name: value for name, value in zip(node.outputs, results, strict=False) if name}
