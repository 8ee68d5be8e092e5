"""Decide about all images of a run together, after all of them are scored."""

import numpy as np

from oodguard.models.false_discovery import rejection_cutoff
from oodguard.service.scoring.columns import SCORE_PREFIX
from oodguard.service.scoring.output import ScoringOutput, write_shard
from oodguard.service.scoring.plan import ScoringPlan
from oodguard.service.scoring.shards import read_shard, to_parquet, with_facts, with_rejected


def decide_together(output: ScoringOutput, plan: ScoringPlan, q: float) -> None:
    """Replace the provisional shards by those with the decisions at a false-discovery rate.

    The p-values are those of the first pass, so that a killed pass continues with the same cutoff.
    A picture with an error is not one of the images that are decided about.

    Args:
        output: The run, of which all parts are scored.
        plan: Its plan.
        q: The false-discovery rate.
    """
    counts: dict[float, int] = {}
    for part in range(plan.parts):
        column = read_shard(output.present(part), ["p_value"]).column(0)
        found = np.unique(column.drop_null().to_numpy(), return_counts=True)
        for value, count in zip(*(each.tolist() for each in found), strict=True):
            counts[value] = counts.get(value, 0) + count
    ordered = sorted(counts)
    cutoff = rejection_cutoff(
        np.array(ordered, np.float64), np.array([counts[each] for each in ordered], np.int64), q
    )
    for part in range(plan.parts):
        _decide(output, plan, part, cutoff)


def _decide(output: ScoringOutput, plan: ScoringPlan, part: int, cutoff: float | None) -> None:
    scored, final = output.scored(part), output.shard(part)
    if not final.exists():
        table = read_shard(scored)
        p_values = table.column("p_value").to_numpy()  # NaN where it is null
        deciding = table.column(f"{SCORE_PREFIX}{plan.policy.score}")
        is_nan = np.isnan(deciding.to_numpy()) & deciding.is_valid().to_numpy()
        rejected = p_values <= (-np.inf if cutoff is None else cutoff)
        decided = with_rejected(table, rejected | is_nan)
        write_shard(final, to_parquet(with_facts(decided, plan, part, cutoff=cutoff)))
    scored.unlink(missing_ok=True)
