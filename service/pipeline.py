"""The way of one request: admitted, read, decoded in a worker thread, judged in a batch.

Work whose request was given up is dropped before it begins.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeAlias, TypeVar

from starlette.requests import Request

from service.admission import Admission, Claim
from service.bodies import read_body
from service.cpus import available_cpus
from service.deadlines import HEADER, deadline, timeout_s
from service.decoding import fits, to_pixels
from service.deployment import Deployment
from service.errors import ClientGone, DeadlineExceeded, Overloaded, Reason, RequestError
from service.hangups import watched
from service.jobs import Job, Pixels
from service.metrics import Metrics
from service.payloads.parsers import RAW_PIXELS, parse
from service.payloads.types import Body, Limits
from service.settings import Settings

Read: TypeAlias = Callable[[Request, int, Callable[[int], None]], Awaitable[Body]]
"""Reads a request's body, given the most bytes it may have; see `service.bodies.read_body`."""

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
        self._decoders = ThreadPoolExecutor(
            settings.decode_threads or available_cpus(), thread_name_prefix="decode"
        )

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
        seconds = timeout_s(request.headers.get(HEADER), self._timeout_s)
        state = request.scope.setdefault("state", {})
        # From here on, as whoever is being read could be left without an engine otherwise.
        with deployment.in_use(), self._counted(state), self._admission.admitted() as claim:
            async with deadline(seconds) as limit:
                body = await read(
                    request,
                    self._limits.max_body_bytes,
                    lambda count: self._admission.take_bytes(claim, count),
                )
                if body.timeout_s is not None:
                    limit.shorten(body.timeout_s)
                job = self._job(limit.until)
                # Told of a request that is given up as well: how far did it come?
                state["timings"] = job.timings
                with watched(request.receive, lambda: _hung_up(job)):
                    await self._judge(deployment, job, body, claim)
        return body, job

    async def shadow(self, deployment: Deployment, body: Body) -> Job:
        """Judge a body that has been answered already, by another model.

        Raises:
            RequestError: It could not be judged, or there is no room for it.
        """
        with self._admission.admitted() as claim:
            async with deadline(self._timeout_s) as limit:
                self._admission.take_bytes(claim, len(body.data))
                job = self._job(limit.until)
                with deployment.in_use():
                    await self._judge(deployment, job, body, claim)
        return job

    async def in_thread(self, function: Callable[[], T]) -> T:
        """Call a function that takes its time in one of the decoders' threads."""
        return await asyncio.get_running_loop().run_in_executor(self._decoders, function)

    def close(self) -> None:
        """Stop the decoders; what waits for them is dropped."""
        self._decoders.shutdown(cancel_futures=True)

    def _job(self, until: float) -> Job:
        return Job(future=asyncio.get_running_loop().create_future(), deadline=until)

    async def _judge(self, deployment: Deployment, job: Job, body: Body, claim: Claim) -> None:
        try:
            pixels = self._as_they_came(deployment, body)
            if pixels is None:
                deployment.batcher.expect()
                self._decoders.submit(self._decode, deployment, job, body, claim)
            else:
                self._admission.take_images(claim, len(pixels))
                job.pixels = pixels
                deployment.batcher.put(job)
            await job.future
        finally:
            # After an answer this says nothing; before one, that nobody waits.
            job.gone = True

    def _as_they_came(self, deployment: Deployment, body: Body) -> Pixels | None:
        """Raw pixels of the model's size need no decoding, and so no change of thread."""
        if body.content_type != RAW_PIXELS:
            return None
        payload = parse(body, self._limits)
        return payload if fits(payload, deployment.model.bundle.manifest.input) else None

    def _decode(self, deployment: Deployment, job: Job, body: Body, claim: Claim) -> None:
        """Decode a job's images and hand it to the engine; runs in a decoder's thread."""
        job.timings.decode_started = time.monotonic()
        spec = deployment.model.bundle.manifest.input
        try:
            payload = parse(body, self._limits)
            self._admission.take_images(claim, len(payload))
            job.pixels = to_pixels(payload, spec, self._limits, job.dropped)
        except BaseException as error:  # noqa: BLE001 - handed on to who waits, as executors do
            job.timings.decode_ended = time.monotonic()
            if isinstance(error, DeadlineExceeded):
                deployment.metrics.skipped(claim.images, job.dropped() or "late")
            job.error = error
            deployment.batcher.give_up()
            job.future.get_loop().call_soon_threadsafe(job.tell)
        else:
            job.timings.decode_ended = time.monotonic()
            deployment.batcher.arrive(job)

    @contextmanager
    def _counted(self, state: dict[str, Any]) -> Iterator[None]:
        """Count, and tell by the request's state, what is not judged for no fault of its own."""
        try:
            yield
        except tuple(SHED) as error:
            state["shed"] = SHED[type(error)]
            self._metrics.count_shed(SHED[type(error)])
            raise


def _hung_up(job: Job) -> None:
    job.gone = True
    if not job.future.done():
        job.future.set_exception(ClientGone("the client hung up before it had its answer"))
