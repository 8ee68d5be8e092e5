"""Test a stream of scores for drift: the ranks of the scores, and the rejections."""

import numpy as np
from numpy.typing import NDArray

from oodguard.models.calibration import Scores
from oodguard.models.decision import rejects
from oodguard.service.drift.betting import (
    MAX_CHUNK,
    cells,
    fixed_bets,
    learned_bets,
    rejection_bets,
)
from oodguard.service.drift.martingale import AlarmLimits, advance
from oodguard.service.drift.ranks import Urn, slots, sort_calibration
from oodguard.service.drift.state import DriftState, MonitoredScore


class DriftDetector:
    """Run both tests over one model's scores. Not safe for use from two threads.

    Args:
        calibration: The bundle's `reference_scores` of the deciding score, `(m,)`.
        monitored: The score and the threshold that are tested.
        limits: The limits at which evidence becomes an alarm.
        state: The state to continue from.

    Attributes:
        limits: The limits at which evidence becomes an alarm.
        ranks: Evidence that scores are no longer exchangeable with the calibration scores.
        rejections: Evidence that the rejection rate is above the monitored rate.
    """

    def __init__(
        self, calibration: Scores, monitored: MonitoredScore, limits: AlarmLimits, state: DriftState
    ) -> None:
        self.limits = limits
        self.ranks = state.ranks
        self.rejections = state.rejections
        self._threshold = monitored.threshold
        self._calibration = sort_calibration(calibration, state.keys)
        self._urn = Urn(state.counts)
        self._histograms = state.histograms
        self._fixed_bets = fixed_bets()
        self._rejection_bets = rejection_bets(monitored.rate)

    @property
    def state(self) -> DriftState:
        """A snapshot of the state; later observations do not change its arrays."""
        return DriftState(
            keys=self._calibration.imag.copy(),
            counts=self._urn.counts,
            histograms=self._histograms,
            ranks=self.ranks,
            rejections=self.rejections,
        )

    def observe(
        self,
        scores: Scores,
        random: np.random.Generator,
        rejected: NDArray[np.bool_] | None = None,
    ) -> None:
        """Observe the deciding scores `(n,)` of images, in the order of the predictions.

        The result does not depend on how a stream is split into calls. A call costs as much as
        about 50 scores, so collect scores and observe them together.

        Args:
            scores: The deciding scores.
            random: Generator of the tie-breaking keys and of the positions within slots.
            rejected: Which images are rejected, `(n,)`, if the threshold depends on the class.
        """
        if rejected is None:
            rejected = rejects(scores, self._threshold)
        for start in range(0, len(scores), MAX_CHUNK):
            chunk = scores[start : start + MAX_CHUNK]
            self._observe_ranks(chunk, random)
            outcomes = rejected[start : start + MAX_CHUNK].astype(np.int64)
            bets = self._rejection_bets[outcomes]
            self.rejections = advance(self.rejections, bets, self.limits)

    def _observe_ranks(self, scores: Scores, random: np.random.Generator) -> None:
        # One row per score, so that the draws do not depend on the split into calls.
        keys, theta = random.random((len(scores), 2)).T
        chances = self._urn.add(slots(self._calibration, scores, keys))
        hit = cells(chances.ranks(1 - theta))
        learned, self._histograms = learned_bets(self._histograms, hit)
        bets = np.concatenate([self._fixed_bets[hit], learned], axis=1)
        self.ranks = advance(self.ranks, bets, self.limits)
