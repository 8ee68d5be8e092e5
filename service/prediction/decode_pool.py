"""Bodies to pixels: in threads, or at once where a change of thread would take longer."""

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from oodguard.service.errors import DeadlineExceeded
from oodguard.service.images.body import RAW_PIXELS, parse
from oodguard.service.images.decode import fits, to_pixels
from oodguard.service.images.header import SMALL_BODY_BYTES, is_small
from oodguard.service.images.types import Body, Payload, RequestLimits
from oodguard.service.inference.queue import Job
from oodguard.service.prediction.admission import Claim
from oodguard.service.registry.deployment import Deployment

T = TypeVar("T")


class DecodePool:
    """Decodes the images of jobs and queues them for their engines.

    Args:
        threads: How many decode at a time.
        limits: What a request may ask for.
    """

    def __init__(self, threads: int, limits: RequestLimits) -> None:
        self._limits = limits
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="decode")

    def hand_over(self, deployment: Deployment, job: Job, body: Body, claim: Claim) -> None:
        """See that a job's images reach the engine, or that the job hears why they do not.

        Raises:
            RequestError: What is wrong with a body that was looked at right here.
        """
        if body.content_type == RAW_PIXELS or len(body.data) <= SMALL_BODY_BYTES:
            payload = parse(body, self._limits)
            if fits(payload, deployment.model.bundle.manifest.input):
                claim.take_images(len(payload))
                job.pixels = payload
                deployment.batcher.put(job)
                return
            if is_small(payload):
                self._decode(deployment, job, payload, claim)
                deployment.batcher.put(job)
                return
        deployment.batcher.expect()
        self._threads.submit(self._in_thread, deployment, job, body, claim)

    def submit(self, function: Callable[[], T]) -> "Future[T]":
        """Call a function that takes its time in one of the threads."""
        return self._threads.submit(function)

    def close(self) -> None:
        """Stop the threads; what waits for them is dropped."""
        self._threads.shutdown(cancel_futures=True)

    def _in_thread(self, deployment: Deployment, job: Job, body: Body, claim: Claim) -> None:
        try:
            self._decode(deployment, job, parse(body, self._limits), claim)
        except BaseException as error:  # noqa: BLE001 - handed on to who waits, as executors do
            if isinstance(error, DeadlineExceeded):
                deployment.metrics.skipped(claim.images, job.dropped() or "late")
            job.error = error
            deployment.batcher.give_up()
            job.future.get_loop().call_soon_threadsafe(job.tell)
        else:
            deployment.batcher.arrive(job)

    def _decode(self, deployment: Deployment, job: Job, payload: Payload, claim: Claim) -> None:
        job.timings.decode_started = time.monotonic()
        claim.take_images(len(payload))
        try:
            spec = deployment.model.bundle.manifest.input
            job.pixels = to_pixels(payload, spec, self._limits, job.dropped)
        finally:
            job.timings.decode_ended = time.monotonic()
