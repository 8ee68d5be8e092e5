"""Shadow traffic: predict a share of the default model's requests with a second model."""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from oodguard.models.errors import BundleError
from oodguard.models.verdicts import Verdict
from oodguard.service.errors import RequestError, UnknownModel
from oodguard.service.images.types import Body
from oodguard.service.inference.queue import Job
from oodguard.service.registry.deployment import Deployment
from oodguard.service.registry.registry import ModelRegistry, split_reference

logger = logging.getLogger("oodguard.shadow")

PredictBody: TypeAlias = Callable[[Deployment, Body], Awaitable[Job]]


@dataclass(frozen=True, eq=False, kw_only=True, slots=True)
class Shadow:
    """Predict with the shadow model what the default model has already answered.

    A shadow prediction counts towards the limits as a request does, and is skipped when they are
    reached. No client waits for it.

    Args:
        registry: The served models.
        predict: Predicts a body within the limits, see `Predictor.predict_body`.
        model: `NAME` or `NAME@VERSION` of the shadow model.
        share: Share of the requests to predict.
        random_source: Draws the requests.

    Raises:
        BundleError: The model is not served.
    """

    registry: ModelRegistry
    predict: PredictBody
    model: str
    share: float
    random_source: random.Random
    _tasks: set[asyncio.Task[None]] = field(default_factory=set, init=False)

    def __post_init__(self) -> None:
        try:
            self._find()
        except UnknownModel as error:
            raise BundleError(f"OODGUARD_SHADOW_MODEL: {error}") from error

    def follow(self, deployment: Deployment, body: Body, verdicts: Sequence[Verdict]) -> None:
        """Draw whether to predict a body again, and start a task if so."""
        if deployment is self.registry.default and self.random_source.random() < self.share:
            task = asyncio.get_running_loop().create_task(self._compare(body, verdicts))
            # The event loop refers to tasks weakly.
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _compare(self, body: Body, verdicts: Sequence[Verdict]) -> None:
        try:
            deployment = self._find()
            job = await self.predict(deployment, body)
        except RequestError as error:
            logger.debug(
                "A shadow prediction was skipped.", extra={"fields": {"detail": str(error)}}
            )
            return
        deployment.account(job)
        same = sum(
            ours.decision == theirs.decision
            for ours, theirs in zip(job.verdicts, verdicts, strict=True)
        )
        deployment.metrics.count_shadow(same=same, different=len(verdicts) - same)

    def _find(self) -> Deployment:
        return self.registry.find(*split_reference(self.model))
