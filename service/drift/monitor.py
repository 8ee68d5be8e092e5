"""Test the scores of one model for drift: the detector, and the thread that feeds it."""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Literal, TypeAlias

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
from oodguard.service.drift.martingale import AlarmLimits, DriftEvidence, advance
from oodguard.service.drift.ranks import Urn, slots, sort_calibration
from oodguard.service.drift.state import (
    DriftState,
    MonitoredScore,
    initial_state,
    read_state,
    write_state,
)
from oodguard.service.errors import DriftStateError

logger = logging.getLogger("oodguard.drift")

OBSERVE_INTERVAL_S = 1.0

SAVE_INTERVAL_S = 30.0


class DriftDetector:
    """Run both tests over one model's scores. Not safe for use from two threads.

    Args:
        calibration: The bundle's calibration scores of the deciding score, `(m,)`.
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

    def observe(self, scores: Scores, random: np.random.Generator) -> None:
        """Observe the deciding scores `(n,)` of images, in the order of the predictions.

        The result does not depend on how a stream is split into calls. A call costs as much as
        about 50 scores, so collect scores and observe them together.
        """
        for start in range(0, len(scores), MAX_CHUNK):
            chunk = scores[start : start + MAX_CHUNK]
            self._observe_ranks(chunk, random)
            rejected = rejects(chunk, self._threshold).astype(np.int64)
            bets = self._rejection_bets[rejected]
            self.rejections = advance(self.rejections, bets, self.limits)

    def _observe_ranks(self, scores: Scores, random: np.random.Generator) -> None:
        # One row per score, so that the draws do not depend on the split into calls.
        keys, theta = random.random((len(scores), 2)).T
        chances = self._urn.add(slots(self._calibration, scores, keys))
        hit = cells(chances.ranks(1 - theta))
        learned, self._histograms = learned_bets(self._histograms, hit)
        bets = np.concatenate([self._fixed_bets[hit], learned], axis=1)
        self.ranks = advance(self.ranks, bets, self.limits)


Publish: TypeAlias = Callable[[DriftEvidence, DriftEvidence, AlarmLimits], None]
"""Receives the evidence of ranks and of rejections, and the limits, in the monitor's thread."""

SaveOutcome: TypeAlias = Literal["saved", "failed"]


class DriftMonitor:
    """Feed one model's scores to a detector in a background thread; save its state.

    Scores are collected for a second, because a score costs only microseconds if many are observed
    together. Scores since the last save are lost if the process is killed; the test stays valid as
    long as the times of the losses do not depend on the scores.

    Args:
        calibration: The bundle's calibration scores of the deciding score, `(m,)`.
        monitored: The score and the threshold that are tested.
        limits: The limits at which evidence becomes an alarm.
        file: The state file; None keeps the state in memory only.
        publish: Receives the evidence.
        count_save: Receives the outcome of each attempt to save the state.
        random: Generator of the tie-breaking keys and of the positions within slots.
    """

    def __init__(  # noqa: PLR0913 - keyword-only
        self,
        calibration: Scores,
        *,
        monitored: MonitoredScore,
        limits: AlarmLimits,
        file: Path | None,
        publish: Publish,
        count_save: Callable[[SaveOutcome], None],
        random: np.random.Generator,
    ) -> None:
        self._monitored = monitored
        self._file = file
        self._publish_evidence = publish
        self._count_save = count_save
        self._random = random
        self._pending: deque[NDArray[np.float32]] = deque()
        self._closing = threading.Event()
        self._detector = DriftDetector(calibration, monitored, limits, self._load(calibration))
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Publish the evidence and start the thread."""
        self._publish()
        # Not before: a thread that never starts keeps its target, and so the model, in a cycle.
        self._thread = threading.Thread(target=self._work, name="drift", daemon=True)
        self._thread.start()

    def add(self, scores: NDArray[np.float32]) -> None:
        """Add the deciding scores `(n,)` of a request, in the order of the requests."""
        self._pending.append(scores)

    def close(self) -> None:
        """Observe the pending scores, save the state and stop the thread."""
        if self._thread:
            self._closing.set()
            self._thread.join()

    def _load(self, calibration: Scores) -> DriftState:
        if self._file is not None:
            try:
                return read_state(self._file, self._monitored, calibration, self._random)
            except DriftStateError as error:
                # Evidence about another model, threshold or rate does not apply to this one.
                logger.warning(
                    "The drift state cannot be used: the tests start without evidence.",
                    extra={"fields": {"error": str(error)}},
                )
        return initial_state(len(calibration), self._random)

    def _work(self) -> None:
        saved_at = time.monotonic()
        while not self._closing.wait(OBSERVE_INTERVAL_S):
            if self._observe() and time.monotonic() - saved_at >= SAVE_INTERVAL_S:
                self._save()
                saved_at = time.monotonic()
        self._observe()
        self._save()

    def _observe(self) -> bool:
        """Observe the pending scores; return False if there were none."""
        pending = [self._pending.popleft() for _ in range(len(self._pending))]
        if not pending:
            return False
        self._detector.observe(np.concatenate(pending), self._random)
        self._publish()
        return True

    def _publish(self) -> None:
        detector = self._detector
        self._publish_evidence(detector.ranks, detector.rejections, detector.limits)

    def _save(self) -> None:
        if self._file is None:
            return
        try:
            write_state(self._file, self._detector.state, self._monitored)
        except OSError as error:
            self._count_save("failed")
            logger.warning(
                "The drift state cannot be saved.", extra={"fields": {"error": str(error)}}
            )
        else:
            self._count_save("saved")
