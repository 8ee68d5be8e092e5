"""Merge preprocessing, classifier and scores into one graph."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto, compose, defs, helper, numpy_helper, version_converter

from oodguard.models.calibrated_model import RunGraph
from oodguard.models.counts import count_of
from oodguard.models.errors import ClassifierError
from oodguard.training.export.onnx import drop_repeated_opsets
from oodguard.training.wrap.classifier import OriginalClassifier, opset_of
from oodguard.training.wrap.features import Features
from oodguard.training.wrap.input import PIXELS
from oodguard.training.wrap.repair import graphs
from oodguard.training.wrap.runtime import open_session, runtime_errors

PREFIX = "classifier/"
OWN = "oodguard_"
"""Begins the names of tensors that are added to a classifier's graph."""

RAW = "raw"
FEATURES = "features"
Images = NDArray[np.uint8]
Values = NDArray[np.float32]

Step = tuple[str, Mapping[str, Any], Sequence[str]]
"""An operator, its attributes, and the names of its inputs after the first."""


TOOL_ERRORS = (RuntimeError, TypeError, ValueError, onnx.checker.ValidationError)
"""The exceptions of ONNX's composer and converter."""


def merged_run(
    merged: onnx.ModelProto, outputs: tuple[str, str] = ("logits", "scores")
) -> RunGraph:
    """Return the merged graph as a function from images to two outputs, on the CPU.

    Raises:
        ClassifierError: ONNX Runtime cannot load the graph, or, when called, cannot run it.
    """
    session: onnxruntime.InferenceSession = open_session(merged, "the wrapped classifier")

    def run(images: Images) -> tuple[Values, Values]:
        with runtime_errors(
            f"the wrapped classifier does not run on a batch of {count_of(len(images), 'image')}",
            ". Export the classifier again with a dynamic batch dimension.",
        ):
            first, second = session.run(list(outputs), {"images": images})
        return first, second

    return run


def merge(
    pixels: onnx.ModelProto,
    original: OriginalClassifier,
    outputs: int,
    features: Features | None,
    scores: onnx.ModelProto | None,
) -> onnx.ModelProto:
    """Merge preprocessing, classifier and scores into one graph.

    The graphs map `images` to `pixels`, `pixels` to the classifier's `outputs` values, and `raw`
    and perhaps `features` to `logits` and `scores`; without `scores`, `raw` and `features` are the
    outputs. All are converted to the newest of their opsets, and the classifier's batch dimension
    becomes dynamic.

    Raises:
        ClassifierError: The classifier's operators cannot be converted to that opset, or the graphs
            cannot be merged.
    """
    dynamic = with_dynamic_batch(original)
    parts = [pixels, dynamic, *([scores] if scores else [])]
    opset = max(opset_of(each) for each in parts)
    version = max(each.ir_version for each in parts[1:])
    front, classifier, *back = (_convert(each, opset, version) for each in parts)
    _add_prefix(classifier.graph)
    _replace_ports(classifier.graph, original, outputs, features)
    try:
        merged = compose.merge_models(
            front, classifier, io_map=[(PIXELS, PREFIX + original.input_name)]
        )
        names = [RAW, *([FEATURES] if features else [])]
        if back:
            io_map = [(OWN + name, name) for name in names]
            merged = compose.merge_models(merged, back[0], io_map=io_map)
        else:
            for port, name in zip(merged.graph.output, names, strict=True):
                merged.graph.node.append(helper.make_node("Identity", [port.name], [name]))
                port.name = name
        drop_repeated_opsets(merged)  # compose lists those of each part
        onnx.checker.check_model(merged)
    except TOOL_ERRORS as error:
        first_line = str(error).strip().partition("\n")[0]
        raise ClassifierError(
            f"the classifier cannot be merged with its scores: {first_line}. Export it again with"
            f" opset {opset}."
        ) from error
    merged.producer_name = "ood-guard"
    return merged


def _convert(model: onnx.ModelProto, opset: int, version: int) -> onnx.ModelProto:
    if opset_of(model) != opset and not _is_unchanged(model, opset):
        try:
            model = version_converter.convert_version(model, opset)
        except TOOL_ERRORS as error:
            raise ClassifierError(
                f"the classifier cannot be converted from opset {opset_of(model)} to {opset}:"
                f" {error}. Export it again with opset {opset}."
            ) from error
    converted = onnx.ModelProto()
    converted.CopyFrom(model)
    converted.ir_version = version
    others = [each for each in converted.opset_import if each.domain]
    del converted.opset_import[:]
    converted.opset_import.extend([helper.make_opsetid("", opset), *others])
    return converted


def _is_unchanged(model: onnx.ModelProto, opset: int) -> bool:
    """Return whether no operator of a model differs between its opset and another.

    Such a model needs no conversion. The converter supports fewer models than ONNX Runtime.
    """
    own = opset_of(model)
    operators = {node.op_type for node in model.graph.node if not node.domain}
    if any(
        each.HasField("g") or each.graphs for node in model.graph.node for each in node.attribute
    ):
        return False
    try:
        return all(
            defs.get_schema(each, own).since_version == defs.get_schema(each, opset).since_version
            for each in operators
        )
    except defs.SchemaError:
        return False


def _add_prefix(graph: onnx.GraphProto) -> None:
    """Add a prefix to all names of a graph and of the graphs in its nodes.

    A name of an outer graph has the same prefix, so inner graphs still find it; with
    `compose.add_prefix` they do not find initializers.
    """
    for each in graphs(graph):
        del each.value_info[:]
        del each.quantization_annotation[:]
        sparse = [tensor.values for tensor in each.sparse_initializer]
        for named in (*each.input, *each.output, *each.initializer, *sparse):
            named.name = PREFIX + named.name
        for node in each.node:
            node.name = PREFIX + node.name if node.name else ""
            for names in (node.input, node.output):
                names[:] = [PREFIX + name if name else "" for name in names]


def _replace_ports(
    graph: onnx.GraphProto, original: OriginalClassifier, outputs: int, features: Features | None
) -> None:
    """Replace the outputs by the float32 outputs `(n, K)` and, if selected, features `(n, D)`."""
    images = [port for port in graph.input if port.name == PREFIX + original.input_name]
    del graph.input[:]
    del graph.output[:]
    graph.input.extend(images)
    shape = numpy_helper.from_array(np.array([-1, outputs], np.int64), f"{OWN}{RAW}_shape")
    graph.initializer.append(shape)
    _append(graph, RAW, PREFIX + original.output_name, [("Reshape", {}, [shape.name])], outputs)
    if features:
        steps: list[Step] = []
        if features.rank == 3:
            steps.append(("Transpose", {"perm": [0, 2, 1]}, []))
        if features.rank > 2:
            steps += [("GlobalAveragePool", {}, []), ("Flatten", {"axis": 1}, [])]
        _append(graph, FEATURES, PREFIX + features.tensor, steps, features.size)


def _append(
    graph: onnx.GraphProto, name: str, source: str, steps: Sequence[Step], size: int
) -> None:
    """Append an output `(n, size)` in float32, made of a tensor by a chain of nodes."""
    chain: list[Step] = [("Cast", {"to": TensorProto.FLOAT}, []), *steps]
    for at, (operator, attributes, constants) in enumerate(chain, start=1):
        made = OWN + name + ("" if at == len(chain) else f"_{at}")
        graph.node.append(helper.make_node(operator, [source, *constants], [made], **attributes))
        source = made
    graph.output.append(helper.make_tensor_value_info(source, TensorProto.FLOAT, ["n", size]))


def with_dynamic_batch(original: OriginalClassifier) -> onnx.ModelProto:
    """Return a copy of the graph with a dynamic batch dimension.

    Constant shapes of Reshape nodes that start with the old batch size become dynamic too. Nothing
    else is changed, so a graph that has the batch size elsewhere, such as in its weights, fails
    later, when its outputs are compared with the original's.
    """
    model = onnx.ModelProto()
    model.CopyFrom(original.model)
    graph = model.graph
    for port in (*graph.input, *graph.output):
        if port.name in {original.input_name, original.output_name}:
            dims = port.type.tensor_type.shape.dim
            if dims:
                dims[0].dim_param = "n"
    batch = original.shape[0]
    if batch is not None:
        _free_reshapes(graph, original.input_name, batch)
    return model


def _free_reshapes(graph: onnx.GraphProto, input_name: str, batch: int) -> None:
    shapes = {tensor.name: tensor for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type == "Constant" and node.attribute[0].name == "value":
            shapes[node.output[0]] = node.attribute[0].t
    from_images = {input_name}
    freed = set()
    for node in graph.node:  # nodes are sorted topologically
        if from_images.isdisjoint(node.input):
            continue
        from_images.update(node.output)
        if node.op_type != "Reshape" or node.input[1] not in shapes:
            continue
        name = node.input[1]
        if name in freed or _free(shapes[name], batch):
            freed.add(name)
            # With allowzero, the 0 of a freed shape would be a size, not "as in the input".
            other = [each for each in node.attribute if each.name != "allowzero"]
            del node.attribute[:]
            node.attribute.extend(other)


def _free(shape: onnx.TensorProto, batch: int) -> bool:
    """Make the batch size of a constant shape dynamic; return False if it has none."""
    sizes = numpy_helper.to_array(shape).copy()
    if len(sizes) < 2 or sizes[0] != batch:
        return False
    # -1 is inferred from the other sizes and may occur once; 0 is the size of the input.
    sizes[0] = 0 if -1 in sizes else -1
    shape.CopyFrom(numpy_helper.from_array(sizes, shape.name))
    return True
