"""Chooses which rejected images are kept, and keeps them in a thread of its own."""

import logging
import random
import threading
from collections.abc import Sequence
from datetime import UTC, datetime

from models.guard import Verdict
from service import answers
from service.deployments.served import ServedModel
from service.errors import RequestError
from service.payloads.types import Body, Limits
from service.samples.errors import StoreFailed
from service.samples.metrics import SampleMetrics
from service.samples.sample import Rejection, Sample, samples
from service.samples.shelf import Shelf
from service.samples.waiting import Waiting

logger = logging.getLogger("oodguard.samples")

# What waits is held in memory beyond the bounds on requests in flight.
MAX_WAITING = 256
MAX_WAITING_BYTES = 32 * 2**20
EXPIRE_EVERY_S = 600.0
LAST_S = 5.0


class Sampler:
    """Follows answered requests. Nothing waits for it: what it cannot take at once is dropped.

    Args:
        shelf: Keeps the samples.
        rate: Share of the rejected images that are kept.
        limits: Those that the bodies were read within.
        metrics: Where it is counted what became of them.
        chance: Where the choice comes from.
    """

    def __init__(
        self,
        shelf: Shelf,
        *,
        rate: float,
        limits: Limits,
        metrics: SampleMetrics,
        chance: random.Random,
    ) -> None:
        self._shelf = shelf
        self._rate = rate
        self._limits = limits
        self._metrics = metrics
        self._chance = chance
        self._waiting = Waiting(max_requests=MAX_WAITING, max_bytes=MAX_WAITING_BYTES)
        self._failing = False
        self._thread = threading.Thread(target=self._work, name="samples", daemon=True)
        self._thread.start()

    def follow(
        self, model: ServedModel, request_id: str, body: Body, verdicts: Sequence[Verdict]
    ) -> None:
        """Maybe keep some of the images that `model` has just rejected."""
        chosen = {
            index: verdict
            for index, verdict in enumerate(verdicts)
            if verdict.decision == "reject" and self._chance.random() < self._rate
        }
        if not chosen:
            return
        rejection = Rejection(
            at=datetime.now(UTC),
            request_id=request_id,
            body=body,
            model=answers.identity(model),
            policy=answers.policy(model),
            verdicts=chosen,
        )
        if not self._waiting.put(rejection):
            self._metrics.count("dropped", len(chosen))

    def close(self) -> None:
        """Keep what waits, for a few seconds at most."""
        self._waiting.close()
        self._thread.join(LAST_S)

    def _work(self) -> None:
        self._expire()
        while not self._waiting.ended:
            rejection = self._waiting.take(EXPIRE_EVERY_S)
            if rejection is None:
                self._expire()
            else:
                self._keep_all(rejection)

    def _keep_all(self, rejection: Rejection) -> None:
        left = len(rejection.verdicts)
        try:
            for sample in samples(rejection, self._limits):
                self._keep(sample)
                left -= 1
        except RequestError as error:
            self._metrics.count("failed", left)
            logger.warning("a body that was judged cannot be read again: %s", error)

    def _keep(self, sample: Sample) -> None:
        try:
            self._shelf.put(sample)
        except StoreFailed as error:
            self._metrics.count("failed")
            self._tell(error)
        else:
            self._metrics.count("kept")
            self._tell(None)

    def _expire(self) -> None:
        try:
            self._shelf.expire()
        except StoreFailed as error:
            self._tell(error)
        else:
            self._tell(None)

    def _tell(self, error: StoreFailed | None) -> None:
        """Show what is held; log that it begins to fail and that it ends, not each time between."""
        self._metrics.show(images=len(self._shelf), size=self._shelf.size)
        if error and not self._failing:
            logger.warning("rejected images are not kept: %s", error)
        if self._failing and not error:
            logger.info("rejected images are kept again")
        self._failing = error is not None
