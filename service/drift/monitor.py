"""Both tests over the scores of one model, as they come."""

import numpy as np
from numpy.typing import NDArray

from models.calibration import Scores
from models.decision import rejects
from service.drift.bets import cells, fixed_bets
from service.drift.evidence import Evidence, Limits, advance
from service.drift.ladder import ladder, slots
from service.drift.learner import CHUNK, learned_bets
from service.drift.rejections import rejection_bets
from service.drift.state import State
from service.drift.subject import Subject
from service.drift.urn import Urn

Floats = NDArray[np.float64]


class Monitor:
    """Watches one subject's scores. Not to be used from two threads at a time.

    Args:
        calibration: The bundle's calibration scores of the subject's score, `(m,)`.
        subject: What is watched.
        limits: When evidence is an alarm.
        state: Where to go on from.
    """

    def __init__(self, calibration: Scores, subject: Subject, limits: Limits, state: State) -> None:
        self._subject = subject
        self._limits = limits
        self._ladder = ladder(calibration, state.keys)
        self._urn = Urn(state.counts)
        self._faded = state.faded
        self._ranks = state.ranks
        self._rejections = state.rejections
        self._fixed_bets = fixed_bets()
        self._rejection_bets = rejection_bets(subject.rate)

    @property
    def limits(self) -> Limits:
        """When evidence is an alarm."""
        return self._limits

    @property
    def ranks(self) -> Evidence:
        """The evidence that scores are no longer exchangeable with the calibration scores."""
        return self._ranks

    @property
    def rejections(self) -> Evidence:
        """The evidence that more than the subject's rate of images is rejected."""
        return self._rejections

    @property
    def state(self) -> State:
        """All that is known, to be saved. The arrays are not changed by what comes after."""
        return State(
            keys=self._ladder.imag.copy(),
            counts=self._urn.counts,
            faded=self._faded,
            ranks=self._ranks,
            rejections=self._rejections,
        )

    def observe(self, scores: Scores, random: np.random.Generator) -> None:
        """Take in the deciding scores `(n,)` of images, in the order in which they were judged.

        The result does not depend on how a stream is cut into calls. One call costs as much as
        some fifty scores: gather scores and observe them together.
        """
        for start in range(0, len(scores), CHUNK):
            chunk = scores[start : start + CHUNK]
            self._observe_ranks(chunk, random)
            rejected = rejects(chunk, self._subject.threshold).astype(np.int64)
            bets = self._rejection_bets[rejected]
            self._rejections = advance(self._rejections, bets, self._limits)

    def _observe_ranks(self, scores: Scores, random: np.random.Generator) -> None:
        # One row a score, so that a stream draws the same however it is cut.
        keys, theta = random.random((len(scores), 2)).T
        shares = self._urn.take(slots(self._ladder, scores, keys))
        where = cells(shares.ranks(1 - theta))
        learned, self._faded = learned_bets(self._faded, where)
        bets = np.concatenate([self._fixed_bets[where], learned], axis=1)
        self._ranks = advance(self._ranks, bets, self._limits)
