"""Check that a wrapped classifier has the outputs of the original one."""

import numpy as np
import torch
from numpy.typing import NDArray

from oodguard.models.calibrated_model import RunGraph
from oodguard.models.errors import ParityError
from oodguard.training.scoring.parity import TOLERANCE, Parity, in_batches
from oodguard.training.wrap.graph import Images
from oodguard.training.wrap.output import OutputKind, OutputScores

BATCH_SIZES = (1, 2, 7, 64)


def check_agreement(
    raw: NDArray[np.float32], wrapped: RunGraph, images: Images, kind: OutputKind
) -> Parity:
    """Compare the outputs of the original classifier with the wrapped graph, in several batches.

    `raw` `(n, K)` are the original classifier's outputs for the images `(n, H, W, 3)`; torch
    computes the expected scores from them. Differences are relative to the largest value where that
    is above 1.

    Raises:
        ParityError: An output or score differs by more than 1e-4 of the largest, or a class
            differs.
    """
    with torch.no_grad():
        logits, scores = (each.numpy() for each in OutputScores(kind)(torch.from_numpy(raw)))
    clear = _has_clear_class(logits)
    largest = 0.0
    for size in BATCH_SIZES:
        found_logits, found_scores = in_batches(wrapped, images, size)
        # The logarithm of a tiny probability is not accurate to 1e-4, and need not be.
        found_raw = np.exp(found_logits) if kind is OutputKind.PROBABILITIES else found_logits
        for what, found, expected in (
            ("outputs", found_raw, raw),
            ("scores", found_scores, scores),
        ):
            difference = _difference(found, expected)
            if not difference <= TOLERANCE:
                raise ParityError(_message(what, difference, size))
            largest = max(largest, difference)
        if (found_logits.argmax(axis=1) != logits.argmax(axis=1))[clear].any():
            raise ParityError(_message("classes", 1.0, size))
    return Parity(images=len(images), largest_difference=largest)


def _difference(found: NDArray[np.float32], expected: NDArray[np.float32]) -> float:
    if found.shape != expected.shape:
        return float("inf")
    return float(np.abs(found - expected).max()) / _scale(expected)


def _scale(values: NDArray[np.float32]) -> float:
    return max(1.0, float(np.abs(values).max()))


def _has_clear_class(logits: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Return for which images the class does not depend on rounding."""
    second, first = np.sort(logits, axis=1)[:, -2:].T
    return np.asarray(first - second > 2 * TOLERANCE * _scale(logits))


def _message(what: str, difference: float, size: int) -> str:
    return (
        f"the {what} of the wrapped classifier differ from the original's by {difference:.2g} in"
        f" batches of {size}, expected at most {TOLERANCE:g}. A classifier with a fixed batch size,"
        " or whose outputs depend on the other images of a batch (dynamic quantisation, batch-norm"
        " in training mode), cannot be wrapped. Export it again, in evaluation mode and with a"
        " dynamic batch dimension."
    )
