"""Three graphs as one: pixels, classifier, scores."""

import onnx
from onnx import compose, version_converter

from models.errors import ClassifierError
from training.wrapping.original import Original, opset_of
from training.wrapping.outputs import RAW
from training.wrapping.pixels import PIXELS

PREFIX = "classifier/"


def merge(
    pixels: onnx.ModelProto, original: Original, free: onnx.ModelProto, scores: onnx.ModelProto
) -> onnx.ModelProto:
    """Return one graph from `images` to `logits` and `scores`; `free` is the classifier's.

    All three are brought to the newest opset of theirs, which is the classifier's or that of the
    scores.

    Raises:
        ClassifierError: the classifier's operators cannot be brought to that opset.
    """
    opset = max(opset_of(each) for each in (pixels, free, scores))
    version = max(each.ir_version for each in (free, scores))
    front, classifier, back = (_at(each, opset, version) for each in (pixels, free, scores))
    _keep_ports(classifier.graph, original)
    classifier = compose.add_prefix(classifier, PREFIX)
    merged = compose.merge_models(front, classifier, io_map=[(PIXELS, PREFIX + original.takes)])
    merged = compose.merge_models(merged, back, io_map=[(PREFIX + original.gives, RAW)])
    merged.producer_name = "ood-guard"
    onnx.checker.check_model(merged)
    return merged


def _at(model: onnx.ModelProto, opset: int, version: int) -> onnx.ModelProto:
    if opset_of(model) != opset:
        try:
            model = version_converter.convert_version(model, opset)
        except (RuntimeError, ValueError) as error:
            raise ClassifierError(
                f"the classifier cannot be brought from opset {opset_of(model)} to {opset}:"
                f" {error}; export it anew with opset {opset}"
            ) from error
    moved = onnx.ModelProto()
    moved.CopyFrom(model)
    moved.ir_version = version
    return moved


def _keep_ports(graph: onnx.GraphProto, original: Original) -> None:
    """Drop outputs that nobody asked for, and inputs that are weights (IR version 3)."""
    for ports, name in ((graph.input, original.takes), (graph.output, original.gives)):
        kept = [port for port in ports if port.name == name]
        del ports[:]
        ports.extend(kept)
