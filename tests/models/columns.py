"""Verdicts on images that can be told apart, for tests of what becomes of verdicts."""

from collections.abc import Sequence

import numpy as np

from oodguard.models.verdicts import Columns

CLASSES = tuple(f"class {number}" for number in range(256))


def columns(values: Sequence[int]) -> Columns:
    """Images of the class that each value says; every other fact is the value too, scaled down."""
    numbers = np.array(values, np.int64)
    return Columns(
        classes=CLASSES,
        score_names=("one", "two"),
        logits=np.stack([numbers, -numbers], axis=1).astype(np.float32),
        scores=np.stack([numbers + 1, numbers + 2], axis=1).astype(np.float32),
        class_ids=numbers,
        confidences=numbers / 256,
        p_values=numbers / 512,
        rejected=numbers % 2 == 1,
    )
