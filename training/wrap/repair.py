"""Repair graphs that ONNX Runtime runs and that ONNX's own tools reject."""

from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter

import onnx
from onnx import inliner

from oodguard.models.errors import ClassifierError

OLDEST_IR = 4
"""The first IR version in which a weight need not be an input."""

DEFAULT_DOMAINS = frozenset({"", "ai.onnx"})
"""Both names of the domain of ONNX's own operators."""


def repaired(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return an equivalent model that ONNX's checker, converter and composer accept.

    Model-local functions are inlined, nodes are sorted, a ZipMap (a dictionary in place of an
    array of probabilities) is removed, weights and tensors that no node reads are no inputs, and
    dimensions written as -1 or 0 are dynamic. An input without a shape has four dynamic dimensions.

    Raises:
        ClassifierError: The nodes form a cycle, or a function cannot be inlined.
    """
    if model.functions:
        try:
            model = inliner.inline_local_functions(model, convert_version=True)
        except (RuntimeError, TypeError, ValueError) as error:
            raise ClassifierError(
                f"the model's functions cannot be inlined: {error}. Export the classifier again"
                " without model-local functions."
            ) from error
    graph = model.graph
    graph.name = graph.name or "classifier"
    stored = {tensor.name for tensor in graph.initializer}
    read = {name for node in graph.node for name in _names_read(node)}
    ports = [port for port in graph.input if port.name in read - stored]
    del graph.input[:]
    graph.input.extend(ports)
    model.ir_version = max(model.ir_version, OLDEST_IR)
    for each in graphs(graph):
        # Inferred shapes may contradict the dynamic dimensions.
        del each.value_info[:]
        for node in each.node:
            node.domain = "" if node.domain in DEFAULT_DOMAINS else node.domain
    _remove_zip_maps(graph)
    _import_used_domains(model)
    for port in graph.input:
        if port.type.HasField("tensor_type") and not port.type.tensor_type.HasField("shape"):
            # Images have four dimensions; the size and the layout are options then.
            for _ in range(4):
                port.type.tensor_type.shape.dim.add()
    for port in (*graph.input, *graph.output):
        for dim in port.type.tensor_type.shape.dim:
            if dim.HasField("dim_value") and dim.dim_value <= 0:
                dim.ClearField("dim_value")
    _sort(graph)
    return model


def graphs(graph: onnx.GraphProto) -> Iterator[onnx.GraphProto]:
    """Yield a graph and, recursively, the graphs in the attributes of its nodes."""
    yield graph
    for node in graph.node:
        for inner in _subgraphs(node):
            yield from graphs(inner)


def _subgraphs(node: onnx.NodeProto) -> list[onnx.GraphProto]:
    single = [each.g for each in node.attribute if each.HasField("g")]
    return single + [inner for each in node.attribute for inner in each.graphs]


def _remove_zip_maps(graph: onnx.GraphProto) -> None:
    maps = {node.output[0]: node for node in graph.node if node.op_type == "ZipMap"}
    for port in graph.output:
        if port.name in maps:
            node = maps[port.name]
            graph.node.remove(node)
            # The shape is that of the array, which only ONNX Runtime infers here.
            port.CopyFrom(onnx.ValueInfoProto(name=node.input[0]))
            port.type.tensor_type.elem_type = onnx.TensorProto.FLOAT


def _import_used_domains(model: onnx.ModelProto) -> None:
    used = {node.domain for each in graphs(model.graph) for node in each.node} | {""}
    versions: dict[str, int] = {}
    for entry in model.opset_import:
        domain = "" if entry.domain in DEFAULT_DOMAINS else entry.domain
        if domain in used:
            versions[domain] = max(entry.version, versions.get(domain, 0))
    del model.opset_import[:]
    model.opset_import.extend(onnx.helper.make_opsetid(*pair) for pair in versions.items())


def _sort(graph: onnx.GraphProto) -> None:
    """Sort the nodes topologically; the order of a sorted graph does not change."""
    for node in graph.node:
        for inner in _subgraphs(node):
            _sort(inner)
    makers = {name: at for at, node in enumerate(graph.node) for name in node.output if name}
    sources = {
        at: {makers[name] for name in _names_read(node) if name in makers}
        for at, node in enumerate(graph.node)
    }
    if all(source < at for at, before in sources.items() for source in before):
        return
    try:
        order = list(TopologicalSorter(sources).static_order())
    except CycleError as error:
        raise ClassifierError("the nodes of the model form a cycle, expected none") from error
    nodes = [onnx.NodeProto.FromString(graph.node[at].SerializeToString()) for at in order]
    del graph.node[:]
    graph.node.extend(nodes)


def _names_read(node: onnx.NodeProto) -> set[str]:
    """Return the tensors that a node reads, also within its graphs."""
    inner = {
        name
        for each in _subgraphs(node)
        for name in (
            *(port.name for port in each.output),
            *(read for other in each.node for read in _names_read(other)),
        )
    }
    return {*node.input, *inner}
