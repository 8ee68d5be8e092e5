"""Scale the channels of a float32 graph to similar ranges, which leaves its outputs as they are."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from oodguard.training.scoring.graph import evaluation_batch_size

HOMOGENEOUS = frozenset({"Relu", "Add", "MaxPool", "AveragePool", "GlobalAveragePool"})
"""Operators f with f(s x) = s f(x) for positive factors s, one per channel; and ReduceMean over the
positions."""

STRENGTH = 0.5
"""Exponent of the scales. 1 makes the ranges of all channels equal, and those of the weights of the
next layer less equal; 0 changes nothing. Measured for cifar10-aloe: docs/int8.md."""

SMALLEST = 1e-3
"""Smallest range of a channel that counts, as a share of the largest; others may be empty."""

SMALLER = 10
"""Factor by which batches are smaller than where only the outputs are kept."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, slots=True)
class Group:
    """Tensors that have the same scale per channel, and the convolutions before and after them.

    Attributes:
        tensors: Names of the tensors.
        writers: Convolutions that compute one of them.
        readers: Convolutions that read one of them.
        others: Other nodes that read one of them, and need it in its old scale.
    """

    tensors: list[str] = field(default_factory=list)
    writers: list[onnx.NodeProto] = field(default_factory=list)
    readers: list[onnx.NodeProto] = field(default_factory=list)
    others: list[tuple[str, onnx.NodeProto]] = field(default_factory=list)


def equalize_channels(model: onnx.ModelProto, images: NDArray[np.uint8]) -> None:
    """Scale channels between convolutions, in place, so that their ranges differ less.

    INT8 has one scale per tensor of activations, so channels of a small range have few levels. A
    factor per channel is exact between layers that are linear up to ReLU: the weights before are
    multiplied by it, and the weights after divided.

    Args:
        model: A float32 graph with the input `images`; convolutions have constant weights.
        images: Images `(n, H, W, 3)` that the ranges are measured on.

    Source: Nagel et al., arXiv:1906.04721, section 4.1.
    """
    if any(each.HasField("g") for node in model.graph.node for each in node.attribute):
        return  # a branch of If or a body of Loop may read a tensor that would be scaled
    constants = {each.name: each for each in model.graph.initializer}
    groups = list(_groups(model.graph, constants))
    ranges = _ranges(model, [name for group in groups for name in group.tensors], images)
    for group in groups:
        values = [ranges[name] for name in group.tensors]
        if len({each.size for each in values}) > 1:
            continue  # an Add that repeats one channel
        scale = _scale([each.reshape(-1) for each in values])
        for node in group.writers:
            for name in node.input[1:]:
                _multiply(constants[name], scale, axis=0)
        for node in group.readers:
            _multiply(constants[node.input[1]], 1 / scale, axis=1)
        for name, node in group.others:
            _unscale(model.graph, name, node, (1 / scale).reshape(ranges[name].shape))


def _groups(graph: onnx.GraphProto, constants: Mapping[str, onnx.TensorProto]) -> Iterator[Group]:
    """Yield the groups of tensors that can be scaled."""
    writer = {name: node for node in graph.node for name in node.output}
    outputs = {each.name for each in graph.output}
    used = [name for node in graph.node for name in node.input]
    root = _connected(graph, constants)
    groups: dict[str, Group] = defaultdict(Group)
    for name, first in root.items():
        groups[first].tensors.append(name)
    for node in graph.node:
        for name in node.input:
            if name not in root:
                continue
            if _is_plain_convolution(node, constants, used) and name == node.input[0]:
                groups[root[name]].readers.append(node)
            elif not (node.output[0] in root and root[node.output[0]] == root[name]):
                groups[root[name]].others.append((name, node))
    for group in groups.values():
        nodes = [writer.get(name) for name in group.tensors]
        known = [node for node in nodes if node is not None]
        group.writers.extend(n for n in known if n.op_type == "Conv")
        if (
            len(known) == len(nodes)
            and outputs.isdisjoint(group.tensors)
            and group.writers
            and group.readers
            and all(_is_plain_convolution(node, constants, used) for node in group.writers)
            and all(n.op_type == "Conv" or _is_homogeneous(n, constants) for n in known)
        ):
            yield group


def _connected(graph: onnx.GraphProto, constants: Mapping[str, onnx.TensorProto]) -> dict[str, str]:
    """Map each tensor of a convolution or of `HOMOGENEOUS` to the name of its connected set."""
    parents: dict[str, str] = {}

    def root(name: str) -> str:
        while parents.setdefault(name, name) != name:
            name = parents[name]
        return name

    for node in graph.node:
        if node.op_type == "Conv":
            root(node.output[0])
        elif _is_homogeneous(node, constants):
            for name in set(node.input) - constants.keys():
                parents[root(name)] = root(node.output[0])
    return {name: root(name) for name in parents}


def _is_plain_convolution(
    node: onnx.NodeProto, constants: Mapping[str, onnx.TensorProto], used: list[str]
) -> bool:
    """Return whether a node is an ungrouped convolution with constant weights of its own."""
    return (
        node.op_type == "Conv"
        and all(name in constants and used.count(name) == 1 for name in node.input[1:])
        and all(each.i == 1 for each in node.attribute if each.name == "group")
    )


def _is_homogeneous(node: onnx.NodeProto, constants: Mapping[str, onnx.TensorProto]) -> bool:
    if node.op_type == "ReduceMean":
        given = [each.ints for each in node.attribute if each.name == "axes"]
        given += [numpy_helper.to_array(constants[n]) for n in node.input[1:] if n in constants]
        return any(sorted(axes) in ([2, 3], [-2, -1]) for axes in given)
    return node.op_type in HOMOGENEOUS and constants.keys().isdisjoint(node.input)


def _ranges(
    model: onnx.ModelProto, names: list[str], images: NDArray[np.uint8]
) -> dict[str, Floats]:
    """Return the largest magnitude per channel `(1, C, 1, ...)` of each tensor `(n, C, ...)`."""
    observed = onnx.ModelProto()
    observed.CopyFrom(model)
    observed.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    session = onnxruntime.InferenceSession(
        observed.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    ranges: dict[str, Floats] = {}
    size = max(1, evaluation_batch_size(*images.shape[1:3]) // SMALLER)  # all tensors are kept
    for start in range(0, len(images) if names else 0, size):
        values = session.run(names, {"images": images[start : start + size]})
        for name, value in zip(names, values, strict=True):
            axes = tuple(axis for axis in range(value.ndim) if axis != 1)
            largest = np.abs(value).max(axis=axes, keepdims=True).astype(np.float64)
            ranges[name] = np.maximum(ranges.get(name, 0), largest)
    return ranges


def _scale(ranges: list[Floats]) -> Floats:
    """Return the factor of each channel: the mean over the tensors, in logarithms."""
    relative = [np.maximum(each / max(each.max(), 1e-30), SMALLEST) for each in ranges]
    factors: Floats = np.exp(-STRENGTH * np.mean(np.log(relative), axis=0))
    return factors


def _multiply(stored: onnx.TensorProto, factors: Floats, *, axis: int) -> None:
    values = numpy_helper.to_array(stored)
    sizes = [1] * values.ndim
    sizes[axis] = -1
    scaled = (values * factors.reshape(sizes)).astype(values.dtype)
    stored.CopyFrom(numpy_helper.from_array(scaled, stored.name))


def _unscale(graph: onnx.GraphProto, name: str, node: onnx.NodeProto, factors: Floats) -> None:
    """Let a node read a tensor `(n, C, ...)` in its old scale."""
    constant, result = f"{name}_factors", f"{name}_unscaled"
    if not any(each.name == constant for each in graph.initializer):
        graph.initializer.append(numpy_helper.from_array(factors.astype(np.float32), constant))
        new = helper.make_node("Mul", [name, constant], [result], name=result)
        after = next(k for k, each in enumerate(graph.node) if name in each.output)
        graph.node.insert(after + 1, new)
    node = next(each for each in graph.node if each.name == node.name)
    node.input[list(node.input).index(name)] = result
