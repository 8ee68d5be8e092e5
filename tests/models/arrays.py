"""Verdicts whose values identify their images, for tests of batches and slices."""

from collections.abc import Sequence

import numpy as np

from oodguard.models.verdicts import VerdictArrays

CLASSES = tuple(f"class {number}" for number in range(256))


def verdict_arrays(values: Sequence[int]) -> VerdictArrays:
    """Return verdicts of the classes `values`; all other fields are functions of the value."""
    numbers = np.array(values, np.int64)
    return VerdictArrays(
        classes=CLASSES,
        score_names=("one", "two"),
        logits=np.stack([numbers, -numbers], axis=1).astype(np.float32),
        scores=np.stack([numbers + 1, numbers + 2], axis=1).astype(np.float32),
        class_ids=numbers,
        confidences=numbers / 256,
        p_values=numbers / 512,
        rejected=numbers % 2 == 1,
    )
