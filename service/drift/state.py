"""All that the tests know, as data: what a restart must not lose."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from service.drift.bets import fixed_bets
from service.drift.evidence import Evidence, no_evidence
from service.drift.learner import MEMORIES, nothing_learned
from service.drift.rejections import ODDS

Floats = NDArray[np.float64]

RANK_BETS = fixed_bets().shape[1] + len(MEMORIES)


@dataclass(frozen=True, kw_only=True, slots=True)
class State:
    """What came of a stream of scores so far.

    `keys` `(m,)` tell equal calibration scores apart; `counts` `(m + 1,)` are the urn; `faded`
    `(memories, cells)` what the learner remembers; then the evidence of both tests.
    """

    keys: Floats
    counts: NDArray[np.int64]
    faded: Floats
    ranks: Evidence
    rejections: Evidence


def fresh_state(calibration_images: int, random: np.random.Generator) -> State:
    """Return the state before any score."""
    return State(
        keys=random.random(calibration_images),
        counts=np.zeros(calibration_images + 1, dtype=np.int64),
        faded=nothing_learned(),
        ranks=no_evidence(RANK_BETS),
        rejections=no_evidence(len(ODDS)),
    )
