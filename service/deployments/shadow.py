"""A second model that judges a share of the traffic, for the metrics alone."""

import asyncio
import logging
import random
from collections.abc import Sequence

from models.errors import BundleError
from models.guard import Verdict
from service.deployments.catalog import Catalog, address
from service.deployments.deployment import Deployment
from service.errors import RequestError, UnknownModel
from service.payloads.types import Body
from service.requests.pipeline import Pipeline

logger = logging.getLogger("oodguard.shadow")


class Shadow:
    """Lets a model judge again what the default model has answered.

    It takes places in flight like a request and gives way when there are none: a shadow never
    makes a client wait for long, and is never waited for.

    Args:
        catalog: The models that are served.
        pipeline: The way to them.
        model: `NAME` or `NAME@VERSION`; none: there is no shadow.
        share: Share of the requests that it judges.
        chance: Where the choice of requests comes from.
    """

    def __init__(
        self,
        catalog: Catalog,
        pipeline: Pipeline,
        *,
        model: str | None,
        share: float,
        chance: random.Random,
    ) -> None:
        self._catalog = catalog
        self._pipeline = pipeline
        self._model = model
        self._share = share
        self._chance = chance
        self._running: set[asyncio.Task[None]] = set()

    def require_model(self) -> None:
        """Look for the model once, before anything is served.

        Raises:
            BundleError: It is not there.
        """
        if self._model is None:
            return
        try:
            self._catalog.find(*address(self._model))
        except UnknownModel as error:
            raise BundleError(f"OODGUARD_SHADOW_MODEL: {error}") from error

    def follow(self, deployment: Deployment, body: Body, verdicts: Sequence[Verdict]) -> None:
        """Maybe let the shadow judge what `deployment` has just answered."""
        if self._model is None or deployment is not self._catalog.default:
            return
        if self._chance.random() < self._share:
            task = asyncio.get_running_loop().create_task(self._judge(self._model, body, verdicts))
            # The loop itself holds tasks weakly.
            self._running.add(task)
            task.add_done_callback(self._running.discard)

    async def _judge(self, model: str, body: Body, verdicts: Sequence[Verdict]) -> None:
        try:
            deployment = self._catalog.find(*address(model))
            job = await self._pipeline.shadow(deployment, body)
        except RequestError as error:
            logger.debug("not judged by the shadow: %s", error)
            return
        deployment.account(job)
        same = sum(
            mine.decision == theirs.decision
            for mine, theirs in zip(job.verdicts, verdicts, strict=True)
        )
        deployment.metrics.count_shadow(same=same, different=len(verdicts) - same)
