"""Both tests over the scores of one model, as they come."""

import logging
import threading
import time
from collections import deque
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from oodguard.models.calibration import Scores
from oodguard.models.decision import rejects
from oodguard.service.drift.betting import CHUNK, cells, fixed_bets, learned_bets, rejection_bets
from oodguard.service.drift.martingale import AlarmLimits, DriftEvidence, advance
from oodguard.service.drift.ranks import Urn, ladder, slots
from oodguard.service.drift.state import (
    DriftState,
    MonitoredScore,
    initial_state,
    read_state,
    write_state,
)
from oodguard.service.errors import DriftStateError

Floats = NDArray[np.float64]


class DriftDetector:
    """Watches one subject's scores. Not to be used from two threads at a time.

    Args:
        calibration: The bundle's calibration scores of the subject's score, `(m,)`.
        subject: What is watched.
        limits: When evidence is an alarm.
        state: Where to go on from.
    """

    def __init__(
        self, calibration: Scores, subject: MonitoredScore, limits: AlarmLimits, state: DriftState
    ) -> None:
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
    def limits(self) -> AlarmLimits:
        """When evidence is an alarm."""
        return self._limits

    @property
    def ranks(self) -> DriftEvidence:
        """The evidence that scores are no longer exchangeable with the calibration scores."""
        return self._ranks

    @property
    def rejections(self) -> DriftEvidence:
        """The evidence that more than the subject's rate of images is rejected."""
        return self._rejections

    @property
    def state(self) -> DriftState:
        """All that is known, to be saved. The arrays are not changed by what comes after."""
        return DriftState(
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


logger = logging.getLogger("oodguard.drift")

OBSERVE_EVERY_S = 1.0

SAVE_EVERY_S = 30.0


class EvidenceSink(Protocol):
    """Hears what the evidence is, in the watch's thread."""

    def show_evidence(
        self, *, ranks: DriftEvidence, rejections: DriftEvidence, limits: AlarmLimits
    ) -> None:
        """Tell of both tests, and of when they are alarms."""


class DriftMonitor:
    """Watches the scores of one model.

    A score costs some microseconds if many are observed together, so they are gathered for a
    second. What was gathered since the last save is lost if the process is killed; a monitor that
    misses scores at times that do not depend on them is still valid.

    Args:
        calibration: The bundle's calibration scores of the score that decides, `(m,)`.
        subject: What is watched.
        limits: When evidence is an alarm.
        file: Where the state is kept; none: it is forgotten with the process.
        audience: Who hears of the evidence.
        random: What equal scores are told apart by.
    """

    def __init__(  # noqa: PLR0913 - by keyword, each from elsewhere
        self,
        calibration: Scores,
        *,
        subject: MonitoredScore,
        limits: AlarmLimits,
        file: Path | None,
        audience: EvidenceSink,
        random: np.random.Generator,
    ) -> None:
        self._subject = subject
        self._file = file
        self._audience = audience
        self._random = random
        self._gathered: deque[NDArray[np.float32]] = deque()
        self._ended = threading.Event()
        self._monitor = self._begin(calibration, limits)
        self._thread = threading.Thread(target=self._work, name="drift", daemon=True)

    def start(self) -> None:
        """Begin to observe."""
        self._show()
        self._thread.start()

    def take(self, scores: NDArray[np.float32]) -> None:
        """Take in the deciding scores `(n,)` of a request, in the order of the requests."""
        self._gathered.append(scores)

    def close(self) -> None:
        """Observe what is left, save, and end the thread."""
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join()

    def _begin(self, calibration: Scores, limits: AlarmLimits) -> DriftDetector:
        state = None
        if self._file is not None:
            try:
                state = read_state(self._file, self._subject, calibration, self._random)
            except DriftStateError as error:
                # Evidence about another model, threshold or rate says nothing of this one.
                logger.warning("the evidence of drift starts over: %s", error)
        state = state or initial_state(len(calibration), self._random)
        return DriftDetector(calibration, self._subject, limits, state)

    def _work(self) -> None:
        saved_at = time.monotonic()
        while not self._ended.wait(OBSERVE_EVERY_S):
            if self._observe() and time.monotonic() - saved_at >= SAVE_EVERY_S:
                self._save()
                saved_at = time.monotonic()
        self._observe()
        self._save()

    def _observe(self) -> bool:
        """Observe what was gathered; whether there was anything."""
        gathered = [self._gathered.popleft() for _ in range(len(self._gathered))]
        if not gathered:
            return False
        self._monitor.observe(np.concatenate(gathered), self._random)
        self._show()
        return True

    def _show(self) -> None:
        monitor = self._monitor
        self._audience.show_evidence(
            ranks=monitor.ranks, rejections=monitor.rejections, limits=monitor.limits
        )

    def _save(self) -> None:
        if self._file is None:
            return
        try:
            write_state(self._file, self._monitor.state, self._subject)
        except OSError as error:
            logger.warning("the evidence of drift is not saved: %s", error)
