"""A served model: its batcher, its metrics, its drift monitor and the requests that use it."""

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from oodguard.models.false_discovery import at_false_discovery_rate
from oodguard.models.reasons import repeated
from oodguard.models.thresholds import ClassThresholds
from oodguard.models.verdicts import Verdict
from oodguard.service import responses
from oodguard.service.drift.martingale import AlarmLimits, DriftEvidence
from oodguard.service.drift.monitor import DriftMonitor
from oodguard.service.drift.state import MonitoredScore, monitored_score, reference_scores
from oodguard.service.inference.batcher import MAX_CPU_RUN_S, Batcher
from oodguard.service.inference.model import LoadedModel
from oodguard.service.inference.queue import Job
from oodguard.service.registry.recent_rejections import RecentRejections
from oodguard.service.settings import Settings
from oodguard.service.telemetry.metrics import Metrics


class ScoreMonitor(Protocol):
    """Tests the deciding scores of one model for drift; see `DriftMonitor`."""

    def start(self, previous: object = None) -> None:
        """Start; `previous` is the withdrawn monitor that this one replaces."""

    def add(self, scores: NDArray[np.float32], rejected: NDArray[np.bool_] | None = None) -> None:
        """Add the deciding scores `(n,)` of a request, and the rejections if they are needed."""

    def reset(self, by: str) -> Mapping[str, DriftEvidence]:
        """Start the tests again, and return the evidence before by test."""

    def withdraw(self) -> None:
        """Close the monitor of a model that is no longer served."""

    def close(self) -> None:
        """Observe the pending scores, and stop."""


OpenMonitor: TypeAlias = Callable[[LoadedModel], ScoreMonitor]
"""Creates the monitor of a model."""


class Deployment:
    """One version of a model, from its warm-up to the end of its last request.

    A request uses the deployment within a `with` block, and the batcher does not end before all
    such blocks. All methods are called in the event loop.

    Attributes:
        model: The model, which is warmed up.
        batcher: Runs the model on queued images.
        metrics: The model's metrics.
    """

    def __init__(
        self,
        model: LoadedModel,
        metrics: Metrics,
        settings: Settings,
        open_monitor: OpenMonitor | None = None,
    ) -> None:
        self.model = model
        self.metrics = metrics.for_model(model)
        spec, policy = model.bundle.manifest.input, model.guard.policy
        self.batcher = Batcher(
            model.guard.predict,
            threads=model.session.runs,
            image=(spec.height, spec.width, 3),
            max_batch=model.session.max_batch,
            max_delay_s=settings.max_delay_ms / 1000,
            observer=self.metrics,
            inline=model.session.any_thread,
            max_run_s=MAX_CPU_RUN_S if model.session.any_thread else math.inf,
        )
        self._deciding = model.bundle.manifest.scores.index(policy.score)
        self._detail = settings.detail
        self._constant = {
            "model": responses.identity(model),
            "policy": responses.policy(model, settings.detail),
        }
        self._recent_rejections = RecentRejections()
        self._drift = (open_monitor or monitors_in_this_process(metrics, settings))(model)
        self._requests = 0
        self._retired = False

    @property
    def name(self) -> str:
        """The model's name."""
        return self.model.bundle.manifest.name

    @property
    def version(self) -> str:
        """The model's version."""
        return self.model.bundle.manifest.version

    def predictions(self, verdicts: Sequence[Verdict]) -> Sequence[Verdict | responses.Json]:
        """Return the predictions of a response, in the configured level of detail."""
        if self._detail == "verdict":
            return responses.bare_predictions(verdicts, self.model.guard.thresholds.level)
        return list(verdicts)

    def common(self, job: Job) -> responses.Json:
        """Return the part of a response that is not about single images: model and policy."""
        if job.fdr is None:
            return self._constant
        return {**self._constant, "policy": responses.policy(self.model, self._detail, job.fdr)}

    def decide_together(self, job: Job) -> None:
        """Decide about the images of a finished job at its false-discovery rate, if it has one."""
        if job.fdr is not None:
            job.verdicts = at_false_discovery_rate(job.verdicts, job.fdr, column=self._deciding)

    def explain(self, job: Job, *, record: bool = True) -> None:
        """Add the reasons for rejections to the verdicts of a finished job. Thread-safe.

        With `record`, its rejected images are compared with recent ones, and remembered.
        """
        reasons = dict(self.model.guard.reasons(job.verdicts, job.pixels, job.sizes))
        for index, found in reasons.items() if record else ():
            if before := self._recent_rejections.add(job.client, job.pixels[index]):
                reasons[index] = (*found, repeated(before))
        job.verdicts = job.verdicts.with_reasons(reasons)

    def account(self, job: Job) -> int:
        """Count the verdicts of a job, and add its scores to the drift monitor.

        Returns:
            The number of images with the decision `reject`.
        """
        self.metrics.count_request(job.timings)
        scores = job.verdicts.scores(self._deciding)
        thresholds = self.model.guard.thresholds
        if isinstance(thresholds, ClassThresholds):
            # Not the decisions of the response: a client chooses the rate X-FDR.
            classes = job.verdicts.arrays.class_ids
            self._drift.add(scores, thresholds.broken_promises(scores, classes))
        else:
            self._drift.add(scores)
        return self.metrics.count_verdicts(job.verdicts)

    def publish(self, previous: "Deployment | None" = None) -> None:
        """Show the model in the metrics, and start its drift monitor.

        Args:
            previous: The withdrawn deployment that this one replaces, if there was one.
        """
        self.metrics.publish(lambda: self.batcher.depth)
        self._drift.start(previous._drift if previous else None)

    def reset_drift(self, by: str) -> Mapping[str, DriftEvidence]:
        """Start the drift tests again, without evidence; see `DriftMonitor.reset`. Thread-safe.

        Raises:
            DriftNotReset: The evidence is unchanged.
        """
        return self._drift.reset(by)

    def withdraw(self) -> None:
        """Remove the model's gauges, and stop its drift monitor; its requests are still served."""
        self._drift.withdraw()
        self.metrics.withdraw()

    def __enter__(self) -> Self:
        """Keep the batcher alive for one request."""
        self._requests += 1
        return self

    def __exit__(self, *_: object) -> None:
        self._requests -= 1
        self._close_if_unused()

    def retire(self) -> None:
        """End the batcher after the last request."""
        self._retired = True
        self._close_if_unused()

    def close(self) -> None:
        """End the batcher and the drift monitor now, and wait for the batcher's threads."""
        self._drift.close()
        self.batcher.close()
        self.batcher.join()

    def _close_if_unused(self) -> None:
        if self._retired and not self._requests:
            self.batcher.close()


def monitors_in_this_process(metrics: Metrics, settings: Settings) -> OpenMonitor:
    """Return the function that creates the drift monitor of a model in this process."""

    def open_monitor(model: LoadedModel) -> ScoreMonitor:
        calibration, monitored, limits = monitoring(model, settings)
        return DriftMonitor(
            calibration,
            monitored=monitored,
            limits=limits,
            file=state_file(settings, monitored),
            observer=metrics.for_drift(monitored.model, monitored.version),
            random=np.random.default_rng(),
        )

    return open_monitor


def monitoring(
    model: LoadedModel, settings: Settings
) -> tuple[NDArray[np.float32], MonitoredScore, AlarmLimits]:
    """Return the reference scores, the score to monitor and the limits of an alarm."""
    policy, limits = model.guard.policy, AlarmLimits(delta=settings.drift_delta)
    monitored = monitored_score(model.bundle, policy, limits)
    return reference_scores(model.bundle.rows, policy.score), monitored, limits


def state_file(settings: Settings, monitored: MonitoredScore) -> Path | None:
    """Return the file for the drift state of a model; None: it is not saved."""
    # No name and no version has an @, so that each model has a file of its own.
    name = f"drift-{monitored.model}@{monitored.version}.safetensors"
    return settings.state / name if settings.state else None
