"""The way of one request: admitted, decoded in worker threads, judged in the engine's thread.

Requests are not joined into one batch; the engine runs them one after another.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager

import numpy as np
from numpy.typing import NDArray

from models.guard import Verdict
from service.cpus import available_cpus
from service.decoding import fits, to_pixels
from service.errors import DeadlineExceeded, Overloaded
from service.payloads.parsers import RAW_PIXELS, parse
from service.payloads.types import Body, Limits
from service.served import ServedModel
from service.settings import Settings


class Pipeline:
    """Bounded ways from bodies to verdicts.

    ONNX Runtime and the decoders release the interpreter, so the event loop stays free. Work whose
    request was given up is dropped before it begins.
    """

    def __init__(self, model: ServedModel, settings: Settings) -> None:
        self._model = model
        self._timeout_s = settings.timeout_s
        self._max_pending = settings.max_pending
        self._pending = 0
        self.limits = Limits(
            max_body_bytes=settings.max_body_bytes,
            max_images=settings.max_images,
            max_pixels=settings.max_pixels,
        )
        self._decoders = ThreadPoolExecutor(
            settings.decode_threads or available_cpus(), thread_name_prefix="decode"
        )
        self._engine = ThreadPoolExecutor(1, thread_name_prefix="engine")

    @contextmanager
    def admitted(self) -> Iterator[None]:
        """Hold one of the places in flight.

        Raises:
            Overloaded: All are taken.
        """
        if self._pending >= self._max_pending:
            raise Overloaded(
                f"{self._pending} requests are in flight; at most {self._max_pending} are taken"
            )
        self._pending += 1
        try:
            yield
        finally:
            self._pending -= 1

    @asynccontextmanager
    async def deadline(self) -> AsyncIterator[float]:
        """Give up what takes longer than a request may.

        Yields:
            The `time.monotonic()` at which it is given up.

        Raises:
            DeadlineExceeded: It was.
        """
        try:
            async with asyncio.timeout(self._timeout_s):
                yield time.monotonic() + self._timeout_s
        except TimeoutError as error:
            raise DeadlineExceeded(
                f"no answer within {self._timeout_s:g} s; send fewer or smaller images"
            ) from error

    async def judge(self, body: Body, deadline: float) -> list[Verdict]:
        """Judge every image of a body.

        Args:
            body: The request's body, within its byte limit.
            deadline: The `time.monotonic()` past which nobody waits for the answer.

        Raises:
            RequestError: What is wrong with the body or one of its images.
        """
        loop = asyncio.get_running_loop()
        pixels = self._as_they_came(body)
        if pixels is None:
            pixels = await loop.run_in_executor(self._decoders, self._decode, body, deadline)
        return await loop.run_in_executor(self._engine, self._model.guard.judge, pixels)

    def close(self) -> None:
        """Stop the threads; what waits in them is dropped."""
        self._decoders.shutdown(cancel_futures=True)
        self._engine.shutdown(cancel_futures=True)

    def _as_they_came(self, body: Body) -> NDArray[np.uint8] | None:
        """Raw pixels of the model's size need no decoding, and so no change of thread."""
        if body.content_type != RAW_PIXELS:
            return None
        payload = parse(body, self.limits)
        spec = self._model.bundle.manifest.input
        return payload if fits(payload, spec) else None

    def _decode(self, body: Body, deadline: float) -> NDArray[np.uint8]:
        payload = parse(body, self.limits)
        spec = self._model.bundle.manifest.input
        return to_pixels(payload, spec, self.limits, deadline=deadline)
