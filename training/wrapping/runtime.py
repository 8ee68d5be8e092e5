"""ONNX Runtime on graphs that somebody else made: every refusal as an error of ours."""

from collections.abc import Callable

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnxruntime.capi import onnxruntime_pybind11_state as states

from models.errors import ClassifierError
from models.guard import Run
from training.wrapping.original import Original
from training.wrapping.pixels import Pixels

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
Answers = Callable[[Images], NDArray[np.float32]]
"""Images `(n, H, W, 3)` to the raw outputs `(n, K)` of a classifier as it came."""


def answers_of(original: Original, pixels: Pixels) -> Answers:
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


def run_of(merged: onnx.ModelProto) -> Run:
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
    session: onnxruntime.InferenceSession, original: Original, pixels: NDArray[np.generic]
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
