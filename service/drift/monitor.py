"""Test the scores of one model for drift in a background thread: state file, close and reset."""

import logging
import threading
import time
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from oodguard.models.calibration import Scores
from oodguard.service.drift.detector import DriftDetector
from oodguard.service.drift.martingale import AlarmLimits, DriftEvidence
from oodguard.service.drift.reset_request import ResetRequest
from oodguard.service.drift.state import (
    DriftState,
    MonitoredScore,
    initial_state,
    read_state,
    without_rejections,
    write_state,
)
from oodguard.service.errors import DriftNotReset, DriftStateError

logger = logging.getLogger("oodguard.drift")

OBSERVE_INTERVAL_S = 1.0

SAVE_INTERVAL_S = 30.0


SaveOutcome: TypeAlias = Literal["saved", "failed"]


class DriftObserver(Protocol):
    """Notified of the evidence, one call at a time, in the monitor's thread or that of a reset."""

    def set_drift_evidence(
        self, ranks: DriftEvidence, rejections: DriftEvidence, limits: AlarmLimits
    ) -> None:
        """Record the present evidence."""

    def count_drift_save(self, outcome: SaveOutcome) -> None:
        """Record an attempt to save the state."""

    def count_drift_reset(self) -> None:
        """Record a reset."""

    def withdraw_drift(self) -> None:
        """Forget the evidence, because the model is no longer served."""


class DriftMonitor:
    """Feed one model's scores to a detector in a background thread; save its state.

    Scores are collected for a second, because a score costs only microseconds if many are observed
    together. Scores since the last save are lost if the process is killed; the test stays valid as
    long as the times of the losses do not depend on the scores.

    Args:
        calibration: The bundle's `reference_scores` of the deciding score, `(m,)`.
        monitored: The score and the threshold that are tested.
        limits: The limits at which evidence becomes an alarm.
        file: The state file; None keeps the state in memory only.
        observer: Receives the evidence.
        random: Generator of the tie-breaking keys and of the positions within slots.
    """

    def __init__(  # noqa: PLR0913 - keyword-only
        self,
        calibration: Scores,
        *,
        monitored: MonitoredScore,
        limits: AlarmLimits,
        file: Path | None,
        observer: DriftObserver,
        random: np.random.Generator,
    ) -> None:
        self._calibration = calibration
        self._monitored = monitored
        self._limits = limits
        self._file = file
        self._observer = observer
        self._random = random
        self._pending: deque[tuple[NDArray[np.float32], NDArray[np.bool_] | None]] = deque()
        self._closing = threading.Event()
        # Guards the detector, its publication and the state file.
        self._lock = threading.Lock()
        self._detector: DriftDetector | None = None
        self._request = ResetRequest(file) if file else None
        self._thread: threading.Thread | None = None

    def start(self, previous: object = None) -> None:
        """Publish the evidence and start the thread.

        Args:
            previous: The closed monitor that this one replaces, if there was one. Its evidence is
                continued if it is about the same score of the same bundle.
        """
        self._detector = self._new_detector(self._continue(previous))
        self._publish()
        # Not in the constructor: a thread that never starts would keep the model in a cycle.
        self._thread = threading.Thread(target=self._work, name="drift", daemon=True)
        self._thread.start()

    def add(self, scores: NDArray[np.float32], rejected: NDArray[np.bool_] | None = None) -> None:
        """Add the deciding scores `(n,)` of a request, in the order of the requests.

        `rejected` `(n,)` is needed if the threshold depends on the class; see
        `ClassThresholds.broken_promises`.
        """
        self._pending.append((scores, rejected))

    def reset(self, by: str) -> Mapping[str, DriftEvidence]:
        """Start both tests again, without evidence. Blocks until the state is saved.

        Scores that were not observed yet are discarded, since they belong to the time before.

        Args:
            by: The origin of the request, for the log.

        Returns:
            The evidence before, by test.

        Raises:
            DriftNotReset: The state cannot be saved, or the monitor is closed. The evidence is
                unchanged.
        """
        model = f"{self._monitored.model} {self._monitored.version}"
        with self._lock:
            if self._detector is None or self._closing.is_set():
                raise DriftNotReset(f"the evidence of {model} is being replaced: retry")
            before = {"scores": self._detector.ranks, "rejections": self._detector.rejections}
            state = initial_state(len(self._calibration), self._random)
            try:
                self._write(state)
            except OSError as error:
                raise DriftNotReset(
                    f"the evidence of {model} is unchanged, because {self._file} cannot be"
                    f" written: {error.strerror}"
                ) from error
            self._pending.clear()
            self._detector = self._new_detector(state)
            self._observer.count_drift_reset()
            self._publish()
        fields: dict[str, object] = {
            "model": self._monitored.model,
            "version": self._monitored.version,
            "by": by,
        }
        for test, evidence in before.items():
            fields |= {
                f"{test}_log_martingale": round(evidence.log_martingale, 3),
                f"{test}_alarms": evidence.alarms,
                f"{test}_images": evidence.steps,
            }
        logger.warning("The drift evidence was reset.", extra={"fields": fields})
        return before

    def withdraw(self) -> None:
        """Close the monitor of a model that is no longer served."""
        self.close()
        self._observer.withdraw_drift()

    def close(self) -> None:
        """Observe the pending scores, save the state and stop the thread."""
        if self._thread:
            self._closing.set()
            self._thread.join()

    def _new_detector(self, state: DriftState) -> DriftDetector:
        return DriftDetector(self._calibration, self._monitored, self._limits, state)

    def _continue(self, previous: object) -> DriftState:
        """Return the state of the previous monitor, of the file, or the initial one."""
        if isinstance(previous, DriftMonitor) and previous._detector is not None:
            before, now = previous._monitored, self._monitored
            if (before.bundle, before.score) == (now.bundle, now.score):
                state = previous._detector.state
                return state if before == now else without_rejections(state)
        if self._file is not None:
            try:
                return read_state(self._file, self._monitored, self._calibration, self._random)
            except DriftStateError as error:
                # Evidence about another model or score does not apply to this one.
                logger.warning(
                    "The drift state cannot be used: the tests start without evidence.",
                    extra={"fields": {"error": str(error), "moved_to": _set_aside(self._file)}},
                )
        return initial_state(len(self._calibration), self._random)

    def _work(self) -> None:
        # So that `oodguard drift reset` finds the model before its first image.
        unsaved = not self._save()
        self._take_request()
        tried_at = time.monotonic()
        while not self._closing.wait(OBSERVE_INTERVAL_S):
            unsaved |= self._observe()
            if unsaved and time.monotonic() - tried_at >= SAVE_INTERVAL_S:
                unsaved = not self._save()
                tried_at = time.monotonic()
            self._take_request()
        self._observe()
        self._save()

    def _take_request(self) -> None:
        if self._request is not None:
            self._request.take(lambda: self.reset("oodguard drift reset"))

    def _observe(self) -> bool:
        """Observe the pending scores; return False if there were none."""
        with self._lock:
            pending = [self._pending.popleft() for _ in range(len(self._pending))]
            if not pending or self._detector is None:
                return False
            scores, rejected = zip(*pending, strict=True)
            given = [each for each in rejected if each is not None]
            self._detector.observe(
                np.concatenate(scores),
                self._random,
                np.concatenate(given) if self._monitored.by_class else None,
            )
            self._publish()
        return True

    def _publish(self) -> None:
        if self._detector is not None:
            self._observer.set_drift_evidence(
                self._detector.ranks, self._detector.rejections, self._limits
            )

    def _save(self) -> bool:
        """Save the state; return False if that fails."""
        with self._lock:
            try:
                if self._detector is not None:
                    self._write(self._detector.state)
            except OSError as error:
                fields = {
                    "model": self._monitored.model,
                    "version": self._monitored.version,
                    "file": str(self._file),
                    "error": error.strerror or str(error),
                }
                logger.warning("The drift state cannot be saved.", extra={"fields": fields})
                return False
        return True

    def _write(self, state: DriftState) -> None:
        if self._file is None:
            return
        try:
            write_state(self._file, state, self._monitored)
        except OSError:
            self._observer.count_drift_save("failed")
            raise
        self._observer.count_drift_save("saved")


def _set_aside(file: Path) -> str | None:
    """Rename a state that cannot be used, before the next save replaces it; return its new name."""
    target = file.with_name(f"{file.name}.unused")
    try:
        file.replace(target)
    except OSError:
        return None
    return str(target)
