"""The gate of `wrap`: the wrapped graph answers as the classifier did, in batches of any size."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from models.errors import ParityError
from models.guard import Run
from training.parity import in_batches
from training.wrapping.outputs import Outputs, Scored
from training.wrapping.runtime import Images

TOLERANCE = 1e-4
BATCH_SIZES = (1, 2, 7, 64)


@dataclass(frozen=True, kw_only=True, slots=True)
class Agreement:
    """What the gate saw: images compared, and the largest difference of an output or score.

    Differences are shares of the largest one where that is above 1.
    """

    images: int
    largest_difference: float


def check_agreement(
    raw: NDArray[np.float32], wrapped: Run, images: Images, outputs: Outputs
) -> Agreement:
    """Compare the classifier's own answers `(n, K)` with the wrapped graph's, in several batches.

    The expected scores are those of the torch functions on the classifier's own answers.

    Raises:
        ParityError: a logit or score differs by more than 1e-4 of the largest, or a class differs.
    """
    with torch.no_grad():
        logits, scores = (each.numpy() for each in Scored(outputs)(torch.from_numpy(raw)))
    clear = _clear(logits)
    largest = 0.0
    for size in BATCH_SIZES:
        found_logits, found_scores = in_batches(wrapped, images, size)
        for what, expected, found in (
            ("outputs", raw, _as_raw(found_logits, outputs)),
            ("scores", scores, found_scores),
        ):
            difference = _difference(found, expected)
            if not difference <= TOLERANCE:
                raise ParityError(_refusal(what, difference, size))
            largest = max(largest, difference)
        if (found_logits.argmax(axis=1) != logits.argmax(axis=1))[clear].any():
            raise ParityError(_refusal("classes", 1.0, size))
    return Agreement(images=len(images), largest_difference=largest)


def _difference(found: NDArray[np.float32], expected: NDArray[np.float32]) -> float:
    if found.shape != expected.shape:
        return float("inf")
    return float(np.abs(found - expected).max()) / _scale(expected)


def _scale(values: NDArray[np.float32]) -> float:
    return max(1.0, float(np.abs(values).max()))


def _clear(logits: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Say for which images the class does not hang on rounding."""
    second, first = np.sort(logits, axis=1)[:, -2:].T
    return np.asarray(first - second > 2 * TOLERANCE * _scale(logits))


def _as_raw(logits: NDArray[np.float32], outputs: Outputs) -> NDArray[np.float32]:
    # The logarithm of a probability of 1e-30 is not known to 1e-4, and nobody needs it to be.
    return np.exp(logits) if outputs is Outputs.PROBABILITIES else logits


def _refusal(what: str, difference: float, size: int) -> str:
    return (
        f"the {what} of the wrapped classifier differ from the original's by {difference:.2g} in"
        f" batches of {size}; at most {TOLERANCE:g} is wanted. A classifier of a fixed batch size"
        " or one whose answer depends on the other images of a batch (dynamic quantisation,"
        " batch-norm in training mode), cannot be wrapped: export it anew, in evaluation mode,"
        " with a free batch dimension"
    )
