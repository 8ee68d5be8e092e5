"""A model at work: served, with its engine's thread, its metrics, and who still uses it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from models.guard import Verdict
from service import answers
from service.batcher import Batcher
from service.metrics import Metrics
from service.served import ServedModel


class Deployment:
    """One model of one version, from its warm-up to the last request that it was chosen for.

    Everything but the batcher's thread happens in the event loop.

    Args:
        model: A model that has been warmed up.
        metrics: Where to count.
        max_delay_s: Longest that a ready image waits for others that are being decoded.
        detail: How much its answers say.

    Attributes:
        model: The model.
        batcher: The only way to its engine.
        metrics: Its own metrics.
        constant: What its answers have in common.
    """

    def __init__(
        self,
        model: ServedModel,
        metrics: Metrics,
        *,
        max_delay_s: float,
        detail: answers.Detail = "full",
    ) -> None:
        self.model = model
        self.metrics = metrics.of(model, lambda: self.batcher.depth)
        spec = model.bundle.manifest.input
        self.batcher = Batcher(
            model.guard.judge,
            image=(spec.height, spec.width, 3),
            max_batch=model.engine.max_batch,
            max_delay_s=max_delay_s,
            watcher=self.metrics,
        )
        self.constant = {"model": answers.identity(model), "policy": answers.policy(model, detail)}
        self._detail = detail
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

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """Keep the engine alive while a request is on its way to it or in it."""
        self._users += 1
        try:
            yield
        finally:
            self._users -= 1
            self._close_when_unused()

    def retire(self) -> None:
        """Take no more requests; the engine ends when the last one has its answer."""
        self._retired = True
        self._close_when_unused()

    def close(self) -> None:
        """End the engine's thread, whoever may still wait, and wait for that."""
        self.batcher.close()
        self.batcher.join()

    def _close_when_unused(self) -> None:
        if self._retired and not self._users:
            self.batcher.close()
