"""Calibration scores from the images that a run held out."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from models.guard import Run
from training.data import ImageSet

BATCH = 250


def calibration_scores(
    run: Run, held_out: ImageSet, scores: Sequence[str]
) -> dict[str, NDArray[np.float32]]:
    """Return each score's values `(n,)` on the held-out images, sorted ascending.

    In batches: thousands of large images at once would not fit into memory.
    """
    values = np.concatenate([run(part.numpy())[1] for part in held_out.images.split(BATCH)])
    return {name: np.sort(values[:, column]) for column, name in enumerate(scores)}
