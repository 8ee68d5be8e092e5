"""The summary of a run: rejections, errors, drift, and the worst pictures."""

from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from oodguard.models.bundle import Bundle
from oodguard.models.group_calibration import one_per_group
from oodguard.models.two_sample import kolmogorov_smirnov, tail_p_value
from oodguard.service.scoring.columns import SCORE_PREFIX
from oodguard.service.scoring.output import ScoringOutput
from oodguard.service.scoring.plan import ScoringPlan
from oodguard.service.scoring.shards import read_shard
from oodguard.sources.pictures import reason_of

WORST: Final = 60
"""The number of pictures on the contact sheet."""

DRIFT_IMAGES: Final = 1_000_000
"""The most images that are compared with the calibration images: every n-th of the run."""


@dataclass(frozen=True, kw_only=True, slots=True)
class WorstPicture:
    """A rejected picture with one of the smallest p-values.

    Attributes:
        position: Its position in the source, counted from 0 over all its files and tables.
        file: The file, the object, or the table.
        row: The row of the table.
        label: The predicted class.
        score: The deciding score.
        p_value: Its p-value.
        reasons: The codes of the reasons.
    """

    position: int
    file: str
    row: int | None
    label: str
    score: float
    p_value: float
    reasons: list[str]


@dataclass(frozen=True, kw_only=True, slots=True)
class CalibrationDrift:
    """The difference between the deciding scores and those of the calibration images.

    Attributes:
        images: The number of images that were compared.
        distance: The Kolmogorov-Smirnov distance of both distributions.
        p_value: Of this distance, if both are samples of one distribution.
        tail_p_value: Of as many scores above the largest ones of the calibration images.
    """

    images: int
    distance: float
    p_value: float
    tail_p_value: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Summary:
    """The summary of a run.

    Attributes:
        images: The number of pictures.
        errors: By reason, the number of pictures that could not be decoded.
        rejected: The number of rejected images.
        by_class: By predicted class, the number of images and of those that are rejected.
        by_reason: By code, the number of rejected images with the reason.
        drift: The comparison with the calibration images; None: fewer than 2 images.
        worst: The rejected pictures with the smallest p-values, of equal ones those with the
            largest deciding scores.
    """

    images: int
    errors: dict[str, int]
    rejected: int
    by_class: dict[str, tuple[int, int]]
    by_reason: dict[str, int]
    drift: CalibrationDrift | None
    worst: list[WorstPicture]

    @property
    def scored(self) -> int:
        """The number of pictures that could be decoded."""
        return self.images - sum(self.errors.values())

    def fields(self) -> dict[str, Any]:
        """Return the summary as JSON-ready values."""
        return {
            "images": self.images,
            "scored": self.scored,
            "errors": self.errors,
            "rejected": self.rejected,
            "rejected_share": self.rejected / self.scored if self.scored else None,
            "by_class": {
                name: {"images": images, "rejected": rejected}
                for name, (images, rejected) in self.by_class.items()
            },
            "by_reason": self.by_reason,
            "drift": None if self.drift is None else asdict(self.drift),
            "worst": [asdict(each) for each in self.worst],
        }


def summarize(output: ScoringOutput, plan: ScoringPlan, bundle: Bundle) -> Summary:
    """Summarize the shards of a complete run, one at a time."""
    labels: Counter[str] = Counter()
    rejections: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    errors: Counter[str] = Counter()
    samples: list[NDArray[np.float32]] = []
    worst: list[WorstPicture] = []
    score = f"{SCORE_PREFIX}{plan.policy.score}"
    columns = ["file", "row", "label", score, "p_value", "decision", "reasons", "error"]
    stride = -(-plan.images // DRIFT_IMAGES)
    for part in range(plan.parts):
        table = read_shard(output.shard(part), columns)
        rejected = table.filter(pc.equal(table.column("decision"), "reject"))
        _count(labels, table.column("label"))
        _count(rejections, rejected.column("label"))
        _count(reasons, pc.list_flatten(rejected.column("reasons")))
        for error in table.column("error").drop_null().to_pylist():
            errors[reason_of(error)] += 1
        samples.append(table.column(score).drop_null().to_numpy().astype(np.float32)[::stride])
        worst = _worst([*worst, *_of_part(table, plan.bounds(part)[0], score)])
    return Summary(
        images=plan.images,
        errors=dict(errors.most_common()),
        rejected=sum(rejections.values()),
        by_class={name: (labels[name], rejections[name]) for name in sorted(labels)},
        by_reason=dict(reasons.most_common()),
        drift=_drift(bundle, plan.policy.score, np.concatenate(samples)),
        worst=worst,
    )


def _count(counter: Counter[str], values: pa.ChunkedArray) -> None:
    for each in pc.value_counts(values.drop_null()).to_pylist():
        counter[each["values"]] += each["counts"]


def _of_part(table: pa.Table, start: int, score: str) -> list[WorstPicture]:
    """Return the worst pictures of a part."""
    is_rejected = pc.equal(table.column("decision"), "reject").fill_null(False)
    positions = np.flatnonzero(is_rejected.to_numpy())
    p_values = table.column("p_value").to_numpy()[positions]
    scores = table.column(score).to_numpy()[positions]
    order = np.lexsort((-np.nan_to_num(scores, nan=np.inf), p_values))[:WORST]
    chosen = positions[order]
    return [
        WorstPicture(
            position=start + int(position),
            file=row["file"],
            row=row["row"],
            label=row["label"],
            score=row[score],
            p_value=row["p_value"],
            reasons=row["reasons"],
        )
        for position, row in zip(chosen, table.take(chosen).to_pylist(), strict=True)
    ]


def _worst(pictures: list[WorstPicture]) -> list[WorstPicture]:
    def key(each: WorstPicture) -> tuple[float, float, int]:
        score = each.score if each.score == each.score else np.inf
        return each.p_value, -score, each.position

    return sorted(pictures, key=key)[:WORST]


def _drift(bundle: Bundle, score: str, scores: NDArray[np.float32]) -> CalibrationDrift | None:
    if len(scores) < 2:
        return None
    rows = bundle.rows
    calibration = rows.scores[score]
    if rows.groups is not None:
        calibration = calibration[one_per_group(rows.groups)]
    newer = np.nan_to_num(scores, nan=np.inf, posinf=np.inf, neginf=-np.inf)
    test = kolmogorov_smirnov(calibration, newer)
    return CalibrationDrift(
        images=len(newer),
        distance=test.distance,
        p_value=test.p_value,
        tail_p_value=tail_p_value(calibration, newer),
    )
