"""Check that a wrapped classifier has the outputs of the original one."""

import numpy as np
import torch
from numpy.typing import NDArray

from oodguard.models.calibrated_model import RunGraph
from oodguard.models.errors import ParityError
from oodguard.training.scoring.parity import TOLERANCE, Parity, in_batches
from oodguard.training.wrap.graph import Images
from oodguard.training.wrap.output import OutputKind, to_logits, to_raw
from oodguard.training.wrap.scores import WrappedScores

BATCH_SIZES = (1, 2, 7, 64)


def check_agreement(
    raw: NDArray[np.float32],
    wrapped: RunGraph,
    images: Images,
    scores: WrappedScores,
    features: NDArray[np.float32] | None = None,
) -> Parity:
    """Compare the outputs of the original classifier with the wrapped graph, in several batches.

    `raw` `(n, K)` and `features` `(n, D)` are the original classifier's for the images
    `(n, H, W, 3)`. Torch computes the expected scores from the features and from the graph's own
    logits: those of saturated probabilities need not agree with the original's to many digits.
    Differences are relative to the largest value where that is above 1.

    Raises:
        ParityError: An output or score differs by more than 1e-4 of the largest, or a class
            differs.
    """
    kind, rows = scores.kind, None if features is None else torch.from_numpy(features)
    logits = to_logits(torch.from_numpy(raw), kind).numpy()
    clear = _has_clear_class(logits, kind)
    largest = 0.0
    for size in BATCH_SIZES:
        found_logits, found_scores = in_batches(wrapped, images, size)
        found_raw = to_raw(found_logits, kind, outputs=raw.shape[1])
        with torch.no_grad():
            expected_scores = scores.of_logits(torch.from_numpy(found_logits), rows).numpy()
        for what, found, expected in (
            ("outputs", found_raw, raw),
            ("scores", found_scores, expected_scores),
        ):
            difference = _difference(found, expected, by_column=what == "scores")
            if not difference <= TOLERANCE:
                raise ParityError(_message(what, difference, size))
            largest = max(largest, difference)
        if (found_logits.argmax(axis=1) != logits.argmax(axis=1))[clear].any():
            raise ParityError(_message("classes", 1.0, size))
    return Parity(images=len(images), largest_difference=largest)


def _difference(
    found: NDArray[np.float32], expected: NDArray[np.float32], *, by_column: bool
) -> float:
    """Return the largest difference, relative to the largest value, of its column or of all."""
    if found.shape != expected.shape:
        return float("inf")
    scale = np.maximum(1, np.abs(expected).max(axis=0 if by_column else None))
    return float((np.abs(found - expected) / scale).max())


def _scale(values: NDArray[np.float32]) -> float:
    return max(1.0, float(np.abs(values).max()))


def _has_clear_class(logits: NDArray[np.float32], kind: OutputKind) -> NDArray[np.bool_]:
    """Return for which images the class does not depend on rounding."""
    values = to_raw(logits, kind, outputs=logits.shape[1])
    second, first = np.sort(values, axis=1)[:, -2:].T
    return np.asarray(first - second > 2 * TOLERANCE * _scale(values))


def _message(what: str, difference: float, size: int) -> str:
    return (
        f"the {what} of the wrapped classifier differ from the original's by {difference:.2g} in"
        f" batches of {size}, expected at most {TOLERANCE:g}. A classifier with a fixed batch size,"
        " or whose outputs depend on the other images of a batch (dynamic quantization, batch-norm"
        " in training mode), cannot be wrapped. Export it again, in evaluation mode and with a"
        " dynamic batch dimension."
    )
