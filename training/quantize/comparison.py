"""Compare a quantized graph with its float32 original: class flips, decision flips, speed."""

import time
from dataclasses import dataclass
from statistics import median

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from oodguard.models.calibrated_model import RunGraph
from oodguard.models.decision import rejects
from oodguard.models.errors import ParityError
from oodguard.training.scoring.graph import EVALUATION_BATCH_SIZE
from oodguard.training.scoring.parity import in_batches

MAX_CLASS_FLIPS = 0.03
"""Largest accepted share of images whose predicted class changes."""

MAX_DECISION_FLIPS = 0.01
"""Largest accepted share of images whose decision changes, each graph at its own threshold."""

SPEED_BATCH_SIZES = (1, 64)
SPEED_ROUNDS = 5
SPEED_IMAGES = 256
"""Images per round of a speed measurement."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """The differences between two graphs on the same images.

    Attributes:
        images: Number of images.
        class_flips: Share of images with another predicted class.
        decision_flips: Share of images with another decision, each graph at its own threshold.
        largest_difference: Largest absolute difference of the deciding score.
    """

    images: int
    class_flips: float
    decision_flips: float
    largest_difference: float


def compare(
    original: RunGraph,
    quantized: RunGraph,
    images: NDArray[np.uint8],
    *,
    column: int,
    thresholds: tuple[float, float],
) -> Comparison:
    """Compare two graphs on images `(n, H, W, 3)`.

    Args:
        original: The float32 graph.
        quantized: The INT8 graph.
        images: Real in-distribution images that set neither the ranges nor the thresholds.
        column: Column of the deciding score.
        thresholds: Thresholds of the deciding score, of the original and of the quantized graph.
    """
    logits, scores = in_batches(original, images, EVALUATION_BATCH_SIZE)
    new_logits, new_scores = in_batches(quantized, images, EVALUATION_BATCH_SIZE)
    old, new = scores[:, column], new_scores[:, column]
    return Comparison(
        images=len(images),
        class_flips=float((logits.argmax(axis=1) != new_logits.argmax(axis=1)).mean()),
        decision_flips=float((rejects(old, thresholds[0]) != rejects(new, thresholds[1])).mean()),
        largest_difference=float(np.abs(old - new).max()),
    )


def check_comparison(comparison: Comparison) -> None:
    """Check that the quantized graph is close enough to its original.

    Raises:
        ParityError: Too many classes or decisions differ.
    """
    for what, received, limit in (
        ("predicted class", comparison.class_flips, MAX_CLASS_FLIPS),
        ("decision", comparison.decision_flips, MAX_DECISION_FLIPS),
    ):
        if not received <= limit:
            raise ParityError(
                f"the {what} of the INT8 graph differs from float32 for {received:.2%} of"
                f" {comparison.images:,} images, expected at most {limit:.2%}. Serve the float32"
                " bundle"
            )


def speed_ratios(original: bytes, quantized: bytes, images: NDArray[np.uint8]) -> dict[str, float]:
    """Return how many times as fast the quantized graph is, by batch size.

    Each graph runs in one thread, and its CPU time counts. Both are measured in turn; the figure is
    the median of five ratios.
    """
    sessions = [_single_threaded(model) for model in (original, quantized)]
    ratios = {}
    for size in SPEED_BATCH_SIZES:
        batch = np.resize(images, (size, *images.shape[1:]))
        rounds = [
            [_duration_s(session, batch, runs=SPEED_IMAGES // size) for session in sessions]
            for _ in range(SPEED_ROUNDS)
        ]
        ratios[str(size)] = round(median(old / new for old, new in rounds), 2)
    return ratios


def _single_threaded(model: bytes) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def _duration_s(
    session: onnxruntime.InferenceSession, batch: NDArray[np.uint8], *, runs: int
) -> float:
    session.run(None, {"images": batch})
    started = time.process_time()
    for _ in range(runs):
        session.run(None, {"images": batch})
    return time.process_time() - started
