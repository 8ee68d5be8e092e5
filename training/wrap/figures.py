"""The figures of a wrapped graph on clean images, at the threshold of the policy."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from oodguard.models.calibrated_model import RunGraph
from oodguard.models.calibration_rows import CalibrationRows
from oodguard.models.decision import Policy
from oodguard.models.policy_thresholds import rows_threshold
from oodguard.training.data.dataset import ImageSet
from oodguard.training.report.metrics import auroc, false_rejection_rate, missed_ood_rate
from oodguard.training.scoring.parity import in_batches
from oodguard.training.wrap.agreement import BATCH_SIZES
from oodguard.training.wrap.report import CleanResult, ScoreFigures

Columns = dict[str, NDArray[np.float32]]
"""Values `(n,)` by score."""


def predict(
    run: RunGraph, images: ImageSet, names: Sequence[str]
) -> tuple[NDArray[np.int64], Columns]:
    """Return predicted classes `(n,)` and scores, in the largest batches that were compared."""
    logits, scores = in_batches(run, images.images.numpy(), BATCH_SIZES[-1])
    return logits.argmax(axis=1), {name: scores[:, k] for k, name in enumerate(names)}


def score_figures(
    name: str,
    policy: Policy,
    calibration: CalibrationRows,
    inside: Columns,
    outside: Mapping[str, Columns],
) -> ScoreFigures:
    """Return the figures of one score; the sets in `outside` are out-of-distribution."""
    limit = rows_threshold(calibration, name, policy)
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
