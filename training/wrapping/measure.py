"""Calibration on one half of the images, clean figures on the other."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.decision import Policy, threshold
from models.guard import Run
from training.data import ImageSet
from training.metrics import auroc, false_rejection_rate, missed_ood_rate
from training.parity import in_batches
from training.wrapping.figures import CleanResult, ScoreFigures

BATCH = 64

Columns = dict[str, NDArray[np.float32]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Halves:
    """Held-out images in two: `calibration` sets the threshold, `test` tells what it does."""

    calibration: ImageSet
    test: ImageSet
    test_labels: Tensor

    @classmethod
    def of(cls, images: ImageSet, labels: Tensor, *, seed: int) -> Self:
        """Divide at random; an odd image is measured on."""
        order = torch.randperm(len(images), generator=torch.Generator().manual_seed(seed))
        half = len(images) // 2
        return cls(
            calibration=images.subset(order[:half]),
            test=images.subset(order[half:]),
            test_labels=labels[order[half:]],
        )


def answers(run: Run, images: ImageSet, names: Sequence[str]) -> tuple[NDArray[np.int64], Columns]:
    """Return the predicted classes `(n,)` and the score columns `(n,)` by name."""
    logits, scores = in_batches(run, images.images.numpy(), BATCH)
    return logits.argmax(axis=1), {name: scores[:, at] for at, name in enumerate(names)}


def score_figures(
    name: str,
    *,
    policy: Policy,
    calibration: Columns,
    inside: Columns,
    outside: Mapping[str, Columns],
) -> ScoreFigures:
    """Measure one score.

    Raises:
        CalibrationError: too few calibration images for the policy.
    """
    limit = threshold(np.sort(calibration[name]), policy)
    return ScoreFigures(
        threshold=limit,
        false_rejection_rate=false_rejection_rate(inside[name], limit),
        sets={
            key: CleanResult(
                images=len(columns[name]),
                auroc=auroc(inside[name], columns[name]),
                missed_ood_rate=missed_ood_rate(columns[name], limit),
            )
            for key, columns in outside.items()
        },
    )
