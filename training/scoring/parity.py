"""The gate between torch and ONNX Runtime: a bundle that answers differently is not written."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from oodguard.models.calibrated_model import RunGraph
from oodguard.models.decision import rejects
from oodguard.models.errors import ParityError
from oodguard.training.data.dataset import ImageSet

BATCH = 250


def calibration_scores(
    run: RunGraph, held_out: ImageSet, scores: Sequence[str]
) -> dict[str, NDArray[np.float32]]:
    """Return each score's values `(n,)` on the held-out images, sorted ascending.

    In batches: thousands of large images at once would not fit into memory.
    """
    values = np.concatenate([run(part.numpy())[1] for part in held_out.images.split(BATCH)])
    return {name: np.sort(values[:, column]) for column, name in enumerate(scores)}


Images = NDArray[np.uint8]

TOLERANCE = 1e-4

BATCH_SIZES = (1, 7, 64, 1000)


@dataclass(frozen=True, kw_only=True, slots=True)
class Parity:
    """What the gate saw: images compared, and the largest difference of any score.

    A difference is relative to the score where that is above 1, as float32 itself is: a squared
    distance of a thousand cannot be told to 1e-4.
    """

    images: int
    largest_difference: float


def onnx_run(model: bytes) -> RunGraph:
    """Return a serialised model as the `run` that a guard takes, on the CPU."""
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])

    def run(images: Images) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        logits, scores = session.run(["logits", "scores"], {"images": images})
        return logits, scores

    return run


def check_parity(
    torch_run: RunGraph, onnx_run: RunGraph, images: Images, limits: NDArray[np.float64]
) -> Parity:
    """Compare both on real images `(n, H, W, 3)`, one by one and in batches.

    `limits` `(S,)` are the rejection thresholds of the score columns.

    Raises:
        ParityError: a score differs by more than 1e-4 (relative above 1), or a class or a decision
            does.
    """
    logits, scores = torch_run(images)
    classes, decisions = logits.argmax(axis=1), _decisions(scores, limits)
    largest = 0.0
    for size in BATCH_SIZES:
        onnx_logits, onnx_scores = in_batches(onnx_run, images, size)
        difference = float((np.abs(onnx_scores - scores) / np.maximum(np.abs(scores), 1)).max())
        if not difference <= TOLERANCE:
            raise ParityError(
                f"scores differ by {difference:.2g} in batches of {size};"
                f" at most {TOLERANCE:g} is wanted"
            )
        _same("class", classes, onnx_logits.argmax(axis=1), size)
        _same("decision", decisions, _decisions(onnx_scores, limits), size)
        largest = max(largest, difference)
    return Parity(images=len(images), largest_difference=largest)


def in_batches(
    run: RunGraph, images: Images, size: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """RunGraph images `(n, H, W, 3)`, `size` at a time."""
    parts = [run(images[start : start + size]) for start in range(0, len(images), size)]
    logits, scores = zip(*parts, strict=True)
    return np.concatenate(logits), np.concatenate(scores)


def _decisions(scores: NDArray[np.float32], limits: NDArray[np.float64]) -> NDArray[np.bool_]:
    columns: Iterable[NDArray[np.bool_]] = (
        rejects(scores[:, column], float(limit)) for column, limit in enumerate(limits)
    )
    return np.stack(list(columns), axis=1)


def _same(what: str, torch: NDArray[np.generic], onnx: NDArray[np.generic], size: int) -> None:
    differing = np.unique(np.nonzero(torch != onnx)[0])
    if len(differing):
        raise ParityError(
            f"the {what} differs between torch and ONNX Runtime for {len(differing)} images in"
            f" batches of {size}, first number {differing[0]}; none is wanted"
        )
