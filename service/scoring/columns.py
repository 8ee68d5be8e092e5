"""The verdicts on a batch as columns, one value for each picture."""

from collections.abc import Sequence
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from oodguard.models.calibrated_model import CalibratedModel
from oodguard.models.false_discovery import may_be_rejected
from oodguard.models.verdicts import Verdicts
from oodguard.service.scoring.pictures import DecodedBatch

Columns: TypeAlias = dict[str, NDArray[Any]]
"""Values by the name of the column, `(n,)` each."""

SCORE_PREFIX: Final = "score_"
"""The column of a score is this text and its name."""

SEPARATOR: Final = ","
"""Separates the codes of the reasons for one rejection."""

NO_CLASS: Final = -1
"""The `class_id` of a picture with an error."""

_DECISIONS = np.array(["accept", "reject"], object)


def column_names(scores: Sequence[str]) -> tuple[str, ...]:
    """Return the names of the columns of a model with these scores, in their order."""
    own = (f"{SCORE_PREFIX}{name}" for name in scores)
    return ("label", "class_id", "confidence", *own, "p_value", "decision", "reasons", "error")


def score_batch(
    guard: CalibratedModel, batch: DecodedBatch, *, candidates_at: float | None = None
) -> Columns:
    """Predict a decoded batch.

    A picture that cannot be decoded has an `error`; its label and decision are empty, its numbers
    NaN, and its class -1. Texts are never None, and `reasons` are codes separated by commas:
    engines derive the types of columns from their first batch.

    Args:
        guard: The bundle under a policy.
        batch: The decoded pictures.
        candidates_at: Reject, and explain, each image that can be rejected at this false-discovery
            rate, instead of those that the policy rejects; the decisions are provisional then.
    """
    verdicts = guard.predict(batch.images)
    if candidates_at is not None:
        column = guard.manifest.scores.index(guard.policy.score)
        verdicts = verdicts.with_decisions(
            may_be_rejected(verdicts.arrays.p_values, candidates_at)
            | np.isnan(verdicts.scores(column))
        )
    return _columns(batch, guard.explain(verdicts, batch.images, batch.sizes))


def _columns(batch: DecodedBatch, verdicts: Verdicts) -> Columns:
    arrays, rows, at = verdicts.arrays, batch.rows, batch.positions
    labels = np.array(arrays.classes, object)
    columns: Columns = {
        "label": _placed(labels[arrays.class_ids], at, rows, ""),
        "class_id": _placed(arrays.class_ids, at, rows, NO_CLASS),
        "confidence": _placed(arrays.confidences, at, rows, np.nan),
    }
    for column, name in enumerate(arrays.score_names):
        columns[f"{SCORE_PREFIX}{name}"] = _placed(arrays.scores[:, column], at, rows, np.nan)
    columns["p_value"] = _placed(arrays.p_values, at, rows, np.nan)
    columns["decision"] = _placed(_DECISIONS[arrays.rejected.astype(np.int64)], at, rows, "")
    reasons, errors = np.full(rows, "", object), np.full(rows, "", object)
    for index, each in arrays.reasons.items():
        reasons[at[index]] = SEPARATOR.join(reason.code for reason in each)
    for position, error in batch.errors.items():
        errors[position] = error
    columns["reasons"], columns["error"] = reasons, errors
    return columns


def _placed(
    values: NDArray[Any], positions: NDArray[np.int64], rows: int, missing: object
) -> NDArray[Any]:
    """Return `(rows,)` values, those `(n,)` at their positions and `missing` elsewhere."""
    if len(values) == rows:
        return values
    column = np.full(rows, missing, values.dtype)
    column[positions] = values
    return column
