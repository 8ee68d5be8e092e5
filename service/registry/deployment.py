"""A model at work: served, with its engine's thread, its metrics, and who still uses it."""

from collections.abc import Sequence
from typing import Self

import numpy as np

from oodguard.models.verdicts import Verdict
from oodguard.service import responses as answers
from oodguard.service.drift.martingale import AlarmLimits
from oodguard.service.drift.monitor import DriftMonitor
from oodguard.service.drift.state import monitored_score
from oodguard.service.inference.batcher import Batcher
from oodguard.service.inference.model import LoadedModel
from oodguard.service.inference.queue import Job
from oodguard.service.settings import Settings
from oodguard.service.telemetry.metrics import Metrics
from oodguard.service.telemetry.model_metrics import ModelMetrics


class Deployment:
    """One model of one version, from its warm-up to the last request that it was chosen for.

    Everything but the batcher's thread happens in the event loop. A request is on its way to the
    engine or in it within a `with` block, and the engine does not end before such blocks.

    Args:
        model: A model that has been warmed up.
        metrics: Where to count.
        settings: How long images wait for each other, how much answers say, when evidence of
            drift is an alarm and where it is kept.

    Attributes:
        model: The model.
        batcher: The only way to its engine.
        metrics: Its own metrics.
        constant: What its answers have in common.
    """

    def __init__(self, model: LoadedModel, metrics: Metrics, settings: Settings) -> None:
        self.model = model
        self.metrics = metrics.for_model(model, lambda: self.batcher.depth)
        spec, policy = model.bundle.manifest.input, model.guard.policy
        self.batcher = Batcher(
            model.guard.predict,
            threads=model.engine.runs,
            image=(spec.height, spec.width, 3),
            max_batch=model.engine.max_batch,
            max_delay_s=settings.max_delay_ms / 1000,
            watcher=self.metrics,
            in_loop=model.engine.any_thread,
        )
        self._deciding = model.bundle.manifest.scores.index(policy.score)
        self._detail = settings.detail
        self.constant = {
            "model": answers.identity(model),
            "policy": answers.policy(model, settings.detail),
        }
        self._drift = _watch(model, self.metrics, settings)
        self._users = 0
        self._retired = False

    @property
    def name(self) -> str:
        """The model's name."""
        return self.model.bundle.manifest.name

    @property
    def version(self) -> str:
        """The model's version."""
        return self.model.bundle.manifest.version

    def predictions(self, verdicts: Sequence[Verdict]) -> list[answers.Json]:
        """What its answers say of images, in as much detail as they may."""
        if self._detail == "verdict":
            return answers.bare_predictions(verdicts, self.model.guard.policy.alpha)
        return answers.predictions(verdicts)

    def account(self, job: Job) -> int:
        """Count the verdicts of a request, and watch its scores for drift.

        Returns:
            How many are rejections.
        """
        self.metrics.count_request(job.timings)
        self._drift.add(job.verdicts.scores(self._deciding))
        return self.metrics.count_verdicts(job.verdicts)

    def appear(self) -> None:
        """Begin to tell of the present: this model is served now."""
        self.metrics.publish()
        self._drift.start()

    def disappear(self) -> None:
        """End what is told of the present; requests that are under way are still answered."""
        self._drift.close()
        self.metrics.withdraw()

    def __enter__(self) -> Self:
        """Keep the engine alive while a request is on its way to it or in it."""
        self._users += 1
        return self

    def __exit__(self, *_: object) -> None:
        self._users -= 1
        self._close_when_unused()

    def retire(self) -> None:
        """Take no more requests; the engine ends when the last one has its answer."""
        self._retired = True
        self._close_when_unused()

    def close(self) -> None:
        """End the engine's thread, whoever may still wait, and wait for that."""
        self._drift.close()
        self.batcher.close()
        self.batcher.join()

    def _close_when_unused(self) -> None:
        if self._retired and not self._users:
            self.batcher.close()


def _watch(model: LoadedModel, metrics: ModelMetrics, settings: Settings) -> DriftMonitor:
    policy, manifest = model.guard.policy, model.bundle.manifest
    limits = AlarmLimits(delta=settings.drift_delta)
    file = f"drift-{manifest.name}-{manifest.version}.safetensors"
    return DriftMonitor(
        model.bundle.calibration[policy.score],
        monitored=monitored_score(model.bundle, policy, limits),
        limits=limits,
        file=settings.state / file if settings.state else None,
        sink=metrics,
        random=np.random.default_rng(),
    )
