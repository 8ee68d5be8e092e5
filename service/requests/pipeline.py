"""The way of one request: admitted, read, decoded, judged in a batch.

Work whose request was given up is dropped before it begins.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import TypeAlias, TypeVar

from starlette.requests import Request
from starlette.types import Scope

from service.decoding.decoders import Decoders
from service.deployments.deployment import Deployment
from service.errors import ClientGone, DeadlineExceeded, Overloaded, Reason, RequestError
from service.http.request_headers import header
from service.inference.jobs import Job
from service.metrics import Metrics
from service.payloads.types import Body, Limits
from service.process.cpus import available_cpus
from service.requests.admission import Admission, Claim
from service.requests.bodies import read_body
from service.requests.deadlines import Deadline, timeout_s
from service.requests.hangups import HangUpWatch
from service.settings import Settings

Read: TypeAlias = Callable[[Request, int, Callable[[int], None]], Awaitable[Body]]
"""Reads a request's body, given the most bytes it may have; see `bodies.read_body`."""

T = TypeVar("T")

SHED: Mapping[type[RequestError], Reason] = {
    Overloaded: "overloaded",
    DeadlineExceeded: "late",
    ClientGone: "gone",
}


class Pipeline:
    """Bounded ways from bodies to verdicts, shared by all models.

    ONNX Runtime and the decoders release the interpreter, so the event loop stays free.
    """

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        self._timeout_s = settings.timeout_s
        self._metrics = metrics
        self._limits = Limits(
            max_body_bytes=settings.max_body_bytes,
            max_images=settings.max_images,
            max_pixels=settings.max_pixels,
        )
        self._admission = Admission(
            max_requests=settings.max_pending,
            max_bytes=settings.max_pending_bytes,
            max_images=settings.max_pending_images,
        )
        metrics.watch_in_flight(lambda: self._admission.requests, settings.max_pending)
        self._decoders = Decoders(settings.decode_threads or available_cpus(), self._limits)

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
            with HangUpWatch(request.receive, lambda: _hung_up(job)):
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
        job.future.set_exception(ClientGone("the client hung up before it had its answer"))
