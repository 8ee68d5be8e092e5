"""Decoding of request bodies: in threads, or in the event loop where that takes less time."""

import asyncio
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias, TypeVar

from oodguard.models.errors import ImageError
from oodguard.models.free_memory import return_free_memory
from oodguard.service.errors import DeadlineExceeded
from oodguard.service.images.body import RAW_PIXELS, count_images, parse
from oodguard.service.images.decode import fits
from oodguard.service.images.decode_memory import has_compressed_chunks
from oodguard.service.images.decode_steps import DecodeSteps
from oodguard.service.images.types import Body, Payload, RequestLimits
from oodguard.service.inference.queue import Job
from oodguard.service.prediction.admission import Claim
from oodguard.service.prediction.fair_threads import FairThreads, Rest
from oodguard.service.registry.deployment import Deployment

T = TypeVar("T")

Reserve: TypeAlias = Callable[[int], AbstractContextManager[object]]

MAX_INLINE_BODY_BYTES = 16 * 1024

MAX_INLINE_PIXELS = 128 * 128

# Returning memory takes about a millisecond; decoding four megapixels takes some thirty.
TRIM_BYTES = 32 * 2**20


def decodes_inline(payload: Payload) -> bool:
    """Return whether the images are decoded in the event loop: at most 128 x 128 pixels together.

    This takes less time than waking a decode thread. Without it, a server of single PNGs on a small
    graph sends 5 to 12 % fewer responses a second, and one client waits 1.35 times as long (two CPU
    cores).

    An image whose header is invalid has no pixels: it is rejected at once, but the images before it
    are decoded.
    """
    if not isinstance(payload, list):
        return False
    pixels = 0
    for image in payload:
        try:
            header = image.header
        except ImageError:
            continue
        if header.format == "PNG" and has_compressed_chunks(image):
            return False
        pixels += header.width * header.height
    return pixels <= MAX_INLINE_PIXELS


class DecodePool:
    """Decode the images of jobs and queue the jobs in their model's batcher.

    Jobs with large images have threads of their own, so that the others pass them, and share a
    limited number of bytes: the memory of a decoded image is thousands of times that of its file.
    Clients, and the jobs of a client, take turns in both kinds of threads after each step of
    `DecodeSteps`.

    Args:
        threads: Number of threads of each kind.
        limits: Limits of a request.
        large_bytes: Memory of all large images that are decoded at a time.
        reserve: Holds bytes while a large image is decoded, if other processes share the memory.
    """

    def __init__(
        self,
        threads: int,
        limits: RequestLimits,
        large_bytes: int,
        reserve: Reserve = nullcontext,
    ) -> None:
        self._limits = limits
        self._threads = FairThreads(threads, "decode")
        self._large_threads = FairThreads(threads, "decode-large", large_bytes)
        self._reserve = reserve

    def decode_and_queue(self, deployment: Deployment, job: Job, body: Body, claim: Claim) -> None:
        """Decode a body, here or in a thread, and queue its job.

        An error in a decode thread becomes the result of the job's future.

        Raises:
            RequestError: The body was decoded here, and it is invalid; or it has too many images.
        """
        payload = None
        if body.content_type == RAW_PIXELS or len(body.data) <= MAX_INLINE_BODY_BYTES:
            payload = parse(body, self._limits)
            if fits(payload, deployment.model.bundle.manifest.input):
                claim.add("images", len(payload))
                job.pixels = payload
                deployment.batcher.put(job)
                return
            if decodes_inline(payload):
                decoding = self._decoding(deployment, job, payload, claim)
                while decoding.step():
                    pass
                deployment.batcher.put(job)
                return
        if payload is None:
            # Before the body is parsed, which takes longer than to count its images.
            claim.require("images", min(count_images(body), self._limits.max_images))
        deployment.batcher.expect()
        begin = partial(self._begin, deployment, job, body, payload, claim)
        self._threads.submit(job.client, begin)

    async def run(self, client: str, function: Callable[[], T]) -> T:
        """Call a slow function of a client in one of the threads."""
        return await asyncio.wrap_future(self._threads.submit(client, function))

    def close(self) -> None:
        """End the threads without waiting for them, and cancel what waits for them."""
        self._threads.close()
        self._large_threads.close()

    def _begin(
        self, deployment: Deployment, job: Job, body: Body, payload: Payload | None, claim: Claim
    ) -> Rest[None] | None:
        """Parse a body in a decode thread; decode its first images, or pass on a large body."""
        batcher = deployment.batcher
        try:
            if payload is None:
                payload = parse(body, self._limits)
            decoding = self._decoding(deployment, job, payload, claim)
            if decoding.steps.is_large:
                decode = partial(self._decode_large, decoding)
                self._large_threads.submit(job.client, decode, decoding.steps.memory)
        except BaseException as error:  # noqa: BLE001 - becomes the future's, as in executors
            batcher.cancel_expected()
            _fail(deployment, job, claim, error)
            return None
        if decoding.steps.is_large:
            # Batches do not wait for large images.
            batcher.cancel_expected()
            return None
        return self._decode_small(decoding)

    def _decode_small(self, decoding: "_Decoding") -> Rest[None] | None:
        try:
            more = decoding.step()
        except BaseException as error:  # noqa: BLE001 - becomes the future's, as in executors
            decoding.deployment.batcher.cancel_expected()
            decoding.fail(error)
            return None
        if more:
            return Rest(partial(self._decode_small, decoding))
        decoding.deployment.batcher.put_expected(decoding.job)
        return None

    def _decode_large(self, decoding: "_Decoding") -> Rest[None] | None:
        memory = decoding.steps.memory
        try:
            with self._reserve(memory):
                more = decoding.step()
        except BaseException as error:  # noqa: BLE001 - becomes the future's, as in executors
            decoding.fail(error)
            return None
        finally:
            if memory >= TRIM_BYTES:
                return_free_memory()
        if more:
            return Rest(partial(self._decode_large, decoding), decoding.steps.memory)
        decoding.deployment.batcher.expect()
        decoding.deployment.batcher.put_expected(decoding.job)
        return None

    def _decoding(
        self, deployment: Deployment, job: Job, payload: Payload, claim: Claim
    ) -> "_Decoding":
        claim.add("images", len(payload))
        spec = deployment.model.bundle.manifest.input
        steps = DecodeSteps(payload, spec, self._limits, job.skip_reason)
        return _Decoding(deployment, job, claim, steps)


@dataclass(frozen=True, slots=True)
class _Decoding:
    """A job that is being decoded."""

    deployment: Deployment
    job: Job
    claim: Claim
    steps: DecodeSteps

    def step(self) -> bool:
        """Decode the next images, and return whether there are more."""
        timings = self.job.timings
        if not timings.decode_started:
            timings.decode_started = time.monotonic()
        try:
            self.steps.step()
        finally:
            timings.decode_ended = time.monotonic()
        if self.steps.finished:
            self.job.pixels = self.steps.pixels
            self.job.sizes = self.steps.file_sizes
        return not self.steps.finished

    def fail(self, error: BaseException) -> None:
        _fail(self.deployment, self.job, self.claim, error)


def _fail(deployment: Deployment, job: Job, claim: Claim, error: BaseException) -> None:
    """Make an error the result of a job. Thread-safe."""
    if isinstance(error, DeadlineExceeded):
        deployment.metrics.skipped(claim.images, job.skip_reason() or "late")
    job.error = error
    job.future.get_loop().call_soon_threadsafe(job.resolve)
