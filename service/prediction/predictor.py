"""One request judged by the model that it names: the same steps whichever protocol it speaks."""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TypeAlias, TypeVar

from loky import cpu_count
from starlette.requests import Request
from starlette.types import Scope

from oodguard.models.errors import BundleError
from oodguard.models.verdicts import Verdict
from oodguard.service.asgi import header
from oodguard.service.errors import (
    ClientDisconnected,
    DeadlineExceeded,
    Overloaded,
    RequestError,
    ShedReason,
    UnknownModel,
)
from oodguard.service.images.body import read_body
from oodguard.service.images.types import Body, RequestLimits
from oodguard.service.inference.queue import Job
from oodguard.service.prediction.admission import Admission, Claim
from oodguard.service.prediction.deadline import Deadline, DisconnectWatcher, timeout_s
from oodguard.service.prediction.decode_pool import DecodePool
from oodguard.service.readiness import Readiness
from oodguard.service.registry.deployment import Deployment
from oodguard.service.registry.registry import ModelRegistry, address
from oodguard.service.sampling.sampler import Sampler
from oodguard.service.settings import Settings
from oodguard.service.telemetry.metrics import Metrics

Read: TypeAlias = Callable[[Request, int, Callable[[int], None]], Awaitable[Body]]
"""Reads a request's body, given the most bytes it may have; see `bodies.read_body`."""

T = TypeVar("T")

SHED: Mapping[type[RequestError], ShedReason] = {
    Overloaded: "overloaded",
    DeadlineExceeded: "late",
    ClientDisconnected: "gone",
}


class Pipeline:
    """Bounded ways from bodies to verdicts, shared by all models.

    ONNX Runtime and the decoders release the interpreter, so the event loop stays free.
    """

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        self._timeout_s = settings.timeout_s
        self._metrics = metrics
        self._limits = RequestLimits(
            max_body_bytes=settings.max_body_bytes,
            max_images=settings.max_images,
            max_pixels=settings.max_pixels,
        )
        self._admission = Admission(
            max_requests=settings.max_pending,
            max_bytes=settings.max_pending_bytes,
            max_images=settings.max_pending_images,
        )
        metrics.observe_in_flight(lambda: self._admission.requests, settings.max_pending)
        self._decoders = DecodePool(settings.decode_threads or cpu_count(), self._limits)

    async def answer(
        self, deployment: Deployment, request: Request, read: Read = read_body
    ) -> tuple[Body, Job]:
        """Take a request in and judge all its images.

        Args:
            deployment: Who judges.
            request: The request.
            read: How its body is read.

        Returns:
            Its body, and the job with its verdicts.

        Raises:
            RequestError: What is wrong with it, or with the moment.
        """
        seconds = timeout_s(header(request.scope, b"x-timeout-ms"), self._timeout_s)
        request.scope.setdefault("state", {})
        try:
            # From here on, as whoever is being read could be left without an engine otherwise.
            with deployment, self._admission.admitted() as claim:
                return await self._answer(deployment, request, read, claim, seconds)
        except tuple(SHED) as error:
            self._count_shed(request.scope, error)
            raise

    @property
    def full(self) -> bool:
        """Whether there is no place for a request that comes now."""
        return self._admission.full

    def require_place(self, scope: Scope) -> None:
        """Refuse a request while there is no place for it.

        Raises:
            Overloaded: There is none.
        """
        try:
            self._admission.require_place()
        except Overloaded as error:
            self._count_shed(scope, error)
            raise

    async def shadow(self, deployment: Deployment, body: Body) -> Job:
        """Judge a body that has been answered already, by another model.

        Raises:
            RequestError: It could not be judged, or there is no room for it.
        """
        with self._admission.admitted() as claim:
            async with Deadline(self._timeout_s) as limit:
                claim.take_bytes(len(body.data))
                job = self._job(limit.until)
                with deployment:
                    await self._judge(deployment, job, body, claim)
        return job

    async def in_thread(self, function: Callable[[], T]) -> T:
        """Call a function that takes its time in one of the decoders' threads."""
        return await asyncio.wrap_future(self._decoders.submit(function))

    def close(self) -> None:
        """Stop the decoders; what waits for them is dropped."""
        self._decoders.close()

    async def _answer(
        self, deployment: Deployment, request: Request, read: Read, claim: Claim, seconds: float
    ) -> tuple[Body, Job]:
        async with Deadline(seconds) as limit:
            body = await read(request, self._limits.max_body_bytes, claim.take_bytes)
            if body.timeout_s is not None:
                limit.shorten(body.timeout_s)
            job = self._job(limit.until)
            # Told of a request that is given up as well: how far did it come?
            request.scope["state"]["timings"] = job.timings
            with DisconnectWatcher(request.receive, lambda: _hung_up(job)):
                await self._judge(deployment, job, body, claim)
        return body, job

    def _count_shed(self, scope: Scope, error: RequestError) -> None:
        scope["state"]["shed"] = reason = SHED[type(error)]
        self._metrics.count_shed(reason)

    def _job(self, until: float) -> Job:
        return Job(future=asyncio.get_running_loop().create_future(), deadline=until)

    async def _judge(self, deployment: Deployment, job: Job, body: Body, claim: Claim) -> None:
        try:
            self._decoders.hand_over(deployment, job, body, claim)
            await job.future
        finally:
            # After an answer this says nothing; before one, that nobody waits.
            job.gone = True


def _hung_up(job: Job) -> None:
    job.gone = True
    if not job.future.done():
        job.future.set_exception(ClientDisconnected("the client hung up before it had its answer"))


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
        catalog: ModelRegistry,
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


class Predictor:
    """Finds the model, has the images judged, and accounts for the verdicts.

    Args:
        catalog: The models that are served.
        pipeline: The way to them.
        shadow: Who may judge the same images again.
        readiness: Whether the models have been warmed up.
        sampler: Who may keep what is rejected.
    """

    def __init__(
        self,
        catalog: ModelRegistry,
        pipeline: Pipeline,
        shadow: Shadow,
        readiness: Readiness,
        sampler: Sampler | None = None,
    ) -> None:
        self._catalog = catalog
        self._pipeline = pipeline
        self._shadow = shadow
        self._readiness = readiness
        self._sampler = sampler

    def deployment(self, request: Request) -> Deployment:
        """The model that a path names by `name` and maybe `version`; else the default one.

        Raises:
            NotReady: No model has been warmed up yet.
            UnknownModel: There is no such model.
        """
        self._readiness.require_warm()
        named = request.path_params
        if not named:
            return self._catalog.default
        return self._catalog.find(named["name"], named.get("version"))

    async def judge(self, deployment: Deployment, request: Request, read: Read = read_body) -> Job:
        """Judge every image of a request, and count, log and maybe shadow or keep what was found.

        Raises:
            RequestError: What is wrong with it, or with the moment.
        """
        state = request.scope["state"]
        state["model"], state["version"] = deployment.name, deployment.version
        body, job = await self._pipeline.answer(deployment, request, read)
        state["images"] = len(job.verdicts)
        state["rejected"] = deployment.account(job)
        self._shadow.follow(deployment, body, job.verdicts)
        if self._sampler and state["rejected"]:
            self._sampler.sample(deployment.model, state["request_id"], body, job.verdicts)
        return job
