"""Shadow traffic: predict a share of the default model's requests with a second model."""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from oodguard.models.verdicts import Verdict
from oodguard.service.errors import RequestError, drop_tracebacks
from oodguard.service.images.types import Body
from oodguard.service.inference.queue import Job
from oodguard.service.registry.deployment import Deployment
from oodguard.service.registry.registry import ModelRegistry

logger = logging.getLogger("oodguard.shadow")

PredictBody: TypeAlias = Callable[[Deployment, Body], Awaitable[Job]]


@dataclass(frozen=True, eq=False, kw_only=True, slots=True)
class Shadow:
    """Predict with the shadow model what the default model has already answered.

    A shadow prediction counts towards the limits as a request does, and is skipped when they are
    reached. No client waits for it.

    Args:
        registry: The served models, and which of them is the shadow model now.
        predict: Predicts a body within the limits, see `Predictor.predict_body`.
        random_source: Draws the requests.
    """

    registry: ModelRegistry
    predict: PredictBody
    random_source: random.Random
    _tasks: set[asyncio.Task[None]] = field(default_factory=set, init=False)

    def maybe_predict(
        self, deployment: Deployment, body: Body, verdicts: Sequence[Verdict]
    ) -> None:
        """Draw whether to predict a body again, and start a task if so."""
        if self.registry.shadow is None or deployment is not self.registry.default:
            return
        if self.random_source.random() < self.registry.routing.shadow_share:
            compared = self._compare(deployment, body, verdicts)
            task = asyncio.get_running_loop().create_task(compared)
            # The event loop refers to tasks weakly.
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _compare(self, answered: Deployment, body: Body, verdicts: Sequence[Verdict]) -> None:
        deployment = self.registry.shadow
        # A reload may have changed the shadow model since the response.
        if deployment is None or deployment is answered:
            return
        try:
            job = await self.predict(deployment, body)
        except RequestError as error:
            drop_tracebacks(error)
            logger.debug(
                "A shadow prediction was skipped.", extra={"fields": {"detail": str(error)}}
            )
            return
        deployment.account(job)
        # After a reload, the two decisions may be those of a previous and of a new policy.
        if answered is not self.registry.default:
            return
        same = sum(
            ours.decision == theirs.decision
            for ours, theirs in zip(job.verdicts, verdicts, strict=True)
        )
        deployment.metrics.count_shadow(same=same, different=len(verdicts) - same)
