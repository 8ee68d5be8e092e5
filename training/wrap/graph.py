"""Run an original classifier; merge preprocessing, classifier and scores into one graph."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import compose, numpy_helper, version_converter
from onnxruntime.capi import onnxruntime_pybind11_state as states

from oodguard.models.calibrated_model import RunGraph
from oodguard.models.errors import ClassifierError
from oodguard.training.wrap.classifier import OriginalClassifier, opset_of
from oodguard.training.wrap.input import PIXELS, PixelTransform
from oodguard.training.wrap.output import RAW

RUNTIME_ERRORS = (
    states.Fail,
    states.InvalidArgument,
    states.InvalidGraph,
    states.InvalidProtobuf,
    states.NotImplemented,
    states.RuntimeException,
)

NEWEST_OPSET = re.compile(r"support for domain (\S+) is till opset (\d+)")
"""The part of ONNX Runtime's error about an opset that it does not support."""

FATAL = 4  # log severity; errors are raised as well
PREFIX = "classifier/"
Images = NDArray[np.uint8]

RunOriginal = Callable[[Images], NDArray[np.float32]]
"""Images `(n, H, W, 3)` to the raw outputs `(n, K)` of a classifier as it was given."""


def original_outputs(original: OriginalClassifier, transform: PixelTransform) -> RunOriginal:
    """Return the classifier as it was given, in batches of its own size.

    Numpy preprocesses the images, so that the merged graph can be compared with the result.

    Raises:
        ClassifierError: ONNX Runtime cannot load the classifier, or, when called, cannot run it or
            its outputs are not `(n, K)`.
    """
    session = _open(original.model, "the classifier")
    batch = original.shape[0] or 1

    def outputs(images: Images) -> NDArray[np.float32]:
        # The last batch is filled up with copies, whose outputs are dropped.
        missing = -len(images) % batch
        filled = np.concatenate([images, np.repeat(images[-1:], missing, axis=0)])
        parts = [
            _run(session, original, transform(filled[start : start + batch]))
            for start in range(0, len(filled), batch)
        ]
        return np.concatenate(parts)[: len(images)]

    return outputs


def merged_run(merged: onnx.ModelProto) -> RunGraph:
    """Return the merged graph as a function from images to logits and scores, on the CPU.

    Raises:
        ClassifierError: ONNX Runtime cannot load the graph, or, when called, cannot run it.
    """
    session = _open(merged, "the wrapped classifier")

    def run(images: Images) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        with _runtime_errors(
            f"the wrapped classifier does not run on a batch of {len(images)} images",
            ". Export the classifier again with a dynamic batch dimension.",
        ):
            logits, scores = session.run(["logits", "scores"], {"images": images})
        return logits, scores

    return run


def _open(model: onnx.ModelProto, what: str) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = FATAL
    options.intra_op_num_threads = 0
    with _runtime_errors(f"ONNX Runtime {onnxruntime.__version__} cannot load {what}"):
        try:
            return onnxruntime.InferenceSession(
                model.SerializeToString(), options, providers=["CPUExecutionProvider"]
            )
        except states.Fail as error:
            if limit := NEWEST_OPSET.search(str(error)):
                domain, newest = limit.groups()
                raise ClassifierError(_too_new(model, domain, int(newest))) from error
            raise


def _too_new(model: onnx.ModelProto, domain: str, newest: int) -> str:
    opset = max(each.version for each in model.opset_import if (each.domain or "ai.onnx") == domain)
    return (
        f"opset {opset} of {domain}, expected at most {newest}, the newest that ONNX Runtime"
        f" {onnxruntime.__version__} supports. Export the classifier again with an older opset."
    )


def _run(
    session: onnxruntime.InferenceSession,
    original: OriginalClassifier,
    pixels: NDArray[np.generic],
) -> NDArray[np.float32]:
    with _runtime_errors(f"the classifier does not run on pixels of shape {pixels.shape}"):
        (raw,) = session.run([original.output_name], {original.input_name: pixels})
    if raw.ndim != 2 or len(raw) != len(pixels) or raw.shape[1] < 2:
        raise ClassifierError(
            f"output {original.output_name} has shape {raw.shape} for {len(pixels)} images,"
            f" expected ({len(pixels)}, classes) with at least 2 classes"
        )
    return np.asarray(raw, np.float32)


@contextmanager
def _runtime_errors(message: str, remedy: str = "") -> Iterator[None]:
    try:
        yield
    except RUNTIME_ERRORS as error:
        first_line = str(error).strip().splitlines()[0]
        raise ClassifierError(f"{message}: {first_line}{remedy}") from error


def merge(
    pixels: onnx.ModelProto, original: OriginalClassifier, scores: onnx.ModelProto
) -> onnx.ModelProto:
    """Merge preprocessing, classifier and scores into one graph.

    The graphs map `images` to `pixels`, `pixels` to the classifier's output, and `raw` to `logits`
    and `scores`. All are converted to the newest of their opsets, and the classifier's batch
    dimension becomes dynamic.

    Raises:
        ClassifierError: The classifier's operators cannot be converted to that opset.
    """
    dynamic = with_dynamic_batch(original)
    opset = max(opset_of(each) for each in (pixels, dynamic, scores))
    version = max(each.ir_version for each in (dynamic, scores))
    front, classifier, back = (_convert(each, opset, version) for each in (pixels, dynamic, scores))
    _drop_other_ports(classifier.graph, original)
    classifier = compose.add_prefix(classifier, PREFIX)
    merged = compose.merge_models(
        front, classifier, io_map=[(PIXELS, PREFIX + original.input_name)]
    )
    merged = compose.merge_models(merged, back, io_map=[(PREFIX + original.output_name, RAW)])
    merged.producer_name = "ood-guard"
    onnx.checker.check_model(merged)
    return merged


def _convert(model: onnx.ModelProto, opset: int, version: int) -> onnx.ModelProto:
    if opset_of(model) != opset:
        try:
            model = version_converter.convert_version(model, opset)
        except (RuntimeError, ValueError) as error:
            raise ClassifierError(
                f"the classifier cannot be converted from opset {opset_of(model)} to {opset}:"
                f" {error}. Export it again with opset {opset}."
            ) from error
    converted = onnx.ModelProto()
    converted.CopyFrom(model)
    converted.ir_version = version
    return converted


def _drop_other_ports(graph: onnx.GraphProto, original: OriginalClassifier) -> None:
    """Drop unused outputs, and inputs that are weights (IR version 3)."""
    for ports, name in (
        (graph.input, original.input_name),
        (graph.output, original.output_name),
    ):
        chosen = [port for port in ports if port.name == name]
        del ports[:]
        ports.extend(chosen)


def with_dynamic_batch(original: OriginalClassifier) -> onnx.ModelProto:
    """Return a copy of the graph with a dynamic batch dimension.

    Constant shapes of Reshape nodes that start with the old batch size become dynamic too. Nothing
    else is changed, so a graph that has the batch size elsewhere, such as in its weights, fails
    later, when its outputs are compared with the original's.
    """
    model = onnx.ModelProto()
    model.CopyFrom(original.model)
    graph = model.graph
    del graph.value_info[:]  # shapes inferred for the old batch size would contradict the new one
    for port in (*graph.input, *graph.output):
        if port.name in {original.input_name, original.output_name}:
            port.type.tensor_type.shape.dim[0].dim_param = "n"
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
