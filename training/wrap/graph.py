"""Three graphs as one: pixels, classifier, scores."""

from collections.abc import Callable

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import compose, version_converter
from onnxruntime.capi import onnxruntime_pybind11_state as states

from oodguard.models.calibrated_model import RunGraph
from oodguard.models.errors import ClassifierError
from oodguard.training.wrap.classifier import OriginalClassifier, opset_of
from oodguard.training.wrap.input import PIXELS, PixelTransform
from oodguard.training.wrap.output import RAW

REFUSALS = (
    states.Fail,
    states.InvalidArgument,
    states.InvalidGraph,
    states.InvalidProtobuf,
    states.NotImplemented,
    states.RuntimeException,
)

SILENT = 4

Images = NDArray[np.uint8]

RunOriginal = Callable[[Images], NDArray[np.float32]]
"""Images `(n, H, W, 3)` to the raw outputs `(n, K)` of a classifier as it came."""


def original_outputs(original: OriginalClassifier, pixels: PixelTransform) -> RunOriginal:
    """Return the classifier as it came, on pixels that numpy made for it, in batches of its own.

    Raises:
        ClassifierError: ONNX Runtime refuses it; or, when called, it does not answer with `(n, K)`.
    """
    session = _open(original.model, "the classifier")
    batch = original.shape[0] or 1

    def answers(images: Images) -> NDArray[np.float32]:
        # A last batch that is too small is filled up, and what fills it is dropped again.
        missing = -len(images) % batch
        filled = np.concatenate([images, np.repeat(images[-1:], missing, axis=0)])
        parts = [
            _run(session, original, pixels.of(filled[at : at + batch]))
            for at in range(0, len(filled), batch)
        ]
        return np.concatenate(parts)[: len(images)]

    return answers


def merged_run(merged: onnx.ModelProto) -> RunGraph:
    """Return the merged graph as the `run` that a guard takes, on the CPU.

    Raises:
        ClassifierError: ONNX Runtime refuses the graph; or, when called, the images.
    """
    session = _open(merged, "the wrapped classifier")

    def run(images: Images) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        try:
            logits, scores = session.run(["logits", "scores"], {"images": images})
        except REFUSALS as error:
            raise ClassifierError(
                f"the wrapped classifier does not run on {len(images)} images at once:"
                f" {_short(error)}; export the classifier anew with a free batch dimension"
            ) from error
        return logits, scores

    return run


def _open(model: onnx.ModelProto, what: str) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = SILENT  # what goes wrong is raised as well
    options.intra_op_num_threads = 0
    try:
        return onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
    except REFUSALS as error:
        raise ClassifierError(
            f"{what} is refused by ONNX Runtime {onnxruntime.__version__}: {_short(error)}"
        ) from error


def _run(
    session: onnxruntime.InferenceSession, original: OriginalClassifier, pixels: NDArray[np.generic]
) -> NDArray[np.float32]:
    try:
        (raw,) = session.run([original.gives], {original.takes: pixels})
    except REFUSALS as error:
        raise ClassifierError(
            f"the classifier does not run on pixels of shape {pixels.shape}: {_short(error)}"
        ) from error
    if raw.ndim != 2 or len(raw) != len(pixels) or raw.shape[1] < 2:
        raise ClassifierError(
            f"output {original.gives} has shape {raw.shape} for {len(pixels)} images;"
            f" ({len(pixels)}, classes) with at least 2 classes is wanted"
        )
    return np.asarray(raw, np.float32)


def _short(error: Exception) -> str:
    return str(error).strip().splitlines()[0]


PREFIX = "classifier/"


def merge(
    pixels: onnx.ModelProto,
    original: OriginalClassifier,
    free: onnx.ModelProto,
    scores: onnx.ModelProto,
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


def _keep_ports(graph: onnx.GraphProto, original: OriginalClassifier) -> None:
    """Drop outputs that nobody asked for, and inputs that are weights (IR version 3)."""
    for ports, name in ((graph.input, original.takes), (graph.output, original.gives)):
        kept = [port for port in ports if port.name == name]
        del ports[:]
        ports.extend(kept)
