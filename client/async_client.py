"""The client for programs with asyncio."""

import asyncio
from collections import deque
from collections.abc import (
    AsyncIterable,
    AsyncIterator,
    Callable,
    Generator,
    Iterable,
    Iterator,
    Mapping,
)
from random import Random
from typing import Self

import httpx2
import numpy as np
from numpy.typing import NDArray

from oodguard.client import answers
from oodguard.client.connection import (
    CONCURRENCY,
    ClientOptions,
    check_request_id,
    checked_url,
    environment_errors,
)
from oodguard.client.errors import ClientError, InvalidImageError, UnreadableImageError
from oodguard.client.images import ImageSource, several
from oodguard.client.requests import ImageBatch, Packer, Target, single, together
from oodguard.client.results import ImageResult, ServedModels
from oodguard.client.retries import Fault, Received, RequestDeadline, fault_of, wait_before_retry


class AsyncClient:
    """A client of one service, for one event loop. The arguments are those of `Client`."""

    def __init__(
        self,
        url: str,
        *,
        key: str | None = None,
        deadline_s: float = 60.0,
        concurrency: int = CONCURRENCY,
        transport: httpx2.AsyncBaseTransport | None = None,
    ) -> None:
        self._options = ClientOptions(
            url=checked_url(url), deadline_s=deadline_s, concurrency=concurrency
        )
        arguments = self._options.http_arguments(key)
        with environment_errors():
            self._http = httpx2.AsyncClient(**arguments, transport=transport)
        self._random = Random()  # noqa: S311 - spreads retries
        self._loop: asyncio.AbstractEventLoop | None = None

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._options.url!r})"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections."""
        self._check_loop()
        await self._http.aclose()

    def _check_loop(self) -> None:
        """Check that the client is used in the event loop of its first request.

        Raises:
            RuntimeError: It is not. Its connections belong to the loop, which may have ended.
        """
        loop = asyncio.get_running_loop()
        if self._loop is None:
            self._loop = loop
        elif self._loop is not loop:
            raise RuntimeError(
                "the client is used in another event loop than before, as by a second"
                " asyncio.run(): create one in each event loop"
            )

    async def predict(
        self,
        image: ImageSource,
        *,
        model: str | None = None,
        version: str | None = None,
        request_id: str | None = None,
    ) -> ImageResult:
        """Return the verdict on one image; arguments and errors are those of `Client.predict`."""
        check_request_id(request_id)
        target = Target(model=model, version=version)
        batch = await asyncio.to_thread(single, image, target, request_id)
        return answers.results_of(await self._send(batch), batch)[0]

    async def predict_together(
        self,
        images: Iterable[ImageSource] | NDArray[np.uint8],
        *,
        fdr: float,
        model: str | None = None,
        version: str | None = None,
        request_id: str | None = None,
    ) -> list[ImageResult]:
        """Return the verdicts on images that are decided together.

        Arguments and errors are those of `Client.predict_together`.
        """
        check_request_id(request_id)
        target = Target(model=model, version=version, fdr=fdr)
        batch = await asyncio.to_thread(together, several(images), target, request_id)
        return answers.results_of(await self._send(batch), batch)

    def predict_many(
        self,
        images: Iterable[ImageSource] | AsyncIterable[ImageSource] | NDArray[np.uint8],
        *,
        model: str | None = None,
        version: str | None = None,
        request_id: str | None = None,
        on_invalid: Callable[[InvalidImageError], object] | None = None,
    ) -> AsyncIterator[ImageResult]:
        """Yield the verdict on every image, in their order.

        Arguments and errors are those of `Client.predict_many`; the images may also be an
        asynchronous iterator.
        """
        check_request_id(request_id)
        packer = Packer(target=Target(model=model, version=version), request_id=request_id)
        given = images if isinstance(images, AsyncIterable) else several(images)
        return self._stream(given, packer, on_invalid)

    async def models(self) -> ServedModels:
        """Return the loaded models; errors are those of `Client.models`."""
        return answers.models_of(await self._request("GET", "/models", {}, b""))

    async def healthy(self) -> bool:
        """Return whether the process of the service answers, as `Client.healthy`."""
        return await self._health("/healthz")

    async def ready(self) -> bool:
        """Return whether the service accepts traffic, as `Client.ready`."""
        return await self._health("/readyz")

    async def _health(self, path: str) -> bool:
        outcome = await self._attempt("GET", path, {}, b"", self._options.deadline())
        return isinstance(outcome, Received) and answers.is_healthy(outcome)

    async def _stream(
        self,
        images: Iterable[ImageSource] | AsyncIterable[ImageSource],
        packer: Packer,
        on_invalid: Callable[[InvalidImageError], object] | None,
    ) -> AsyncIterator[ImageResult]:
        pending = deque[asyncio.Task[list[answers.Outcome]]]()
        free = asyncio.Semaphore(self._options.concurrency)
        try:
            async for each in _packed(images, packer):
                outcomes = self._outcomes(each, packer, free, skip=on_invalid is not None)
                pending.append(asyncio.create_task(outcomes))
                if len(pending) > 2 * self._options.concurrency:
                    for result in answers.reported(await pending[0], on_invalid):
                        yield result
                    pending.popleft()
            while pending:
                for result in answers.reported(await pending[0], on_invalid):
                    yield result
                pending.popleft()
        finally:
            for task in pending:
                task.cancel()
            await asyncio.gather(*pending, return_exceptions=True)

    async def _outcomes(
        self,
        batch: ImageBatch | UnreadableImageError,
        packer: Packer,
        free: asyncio.Semaphore,
        *,
        skip: bool,
    ) -> list[answers.Outcome]:
        if isinstance(batch, UnreadableImageError):
            return [batch]
        async with free:
            return await self._run(answers.steps(batch, packer, skip_invalid=skip))

    async def _run(
        self, steps: Generator[ImageBatch, Received, list[answers.Outcome]]
    ) -> list[answers.Outcome]:
        """Send the requests of `answers.steps`."""
        try:
            batch = next(steps)
            while True:
                try:
                    response = await self._send(batch)
                except ClientError as error:
                    batch = steps.throw(error)
                else:
                    batch = steps.send(response)
        except StopIteration as done:
            outcomes: list[answers.Outcome] = done.value
            return outcomes

    async def _send(self, batch: ImageBatch) -> Received:
        headers, body = batch.encode()
        return await self._request("POST", batch.target.path, headers, body)

    async def _request(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes
    ) -> Received:
        """Send a request until its outcome is final; errors are those of `Client._request`."""
        deadline = self._options.deadline()
        attempt = 0
        while True:
            outcome = await self._attempt(method, path, headers, body, deadline)
            wait_s = wait_before_retry(outcome, attempt, deadline.remaining_s(), self._random)
            if wait_s is None:
                return answers.received(outcome, deadline, self._options.url, attempts=attempt + 1)
            await asyncio.sleep(wait_s)
            attempt += 1

    async def _attempt(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str],
        body: bytes,
        deadline: RequestDeadline,
    ) -> Received | Fault:
        self._check_loop()
        try:
            async with (
                asyncio.timeout(deadline.remaining_s()),
                self._http.stream(
                    method,
                    path,
                    headers={**headers, **deadline.headers()},
                    content=body,
                    timeout=deadline.timeout(),
                ) as response,
            ):
                if fault := answers.fault_of_head(response.headers):
                    return fault
                content = bytearray()
                async for chunk in response.aiter_bytes():
                    content += chunk
                    if fault := answers.fault_of_body(len(content), deadline):
                        return fault
                return Received(
                    status=response.status_code, headers=response.headers, body=bytes(content)
                )
        except httpx2.RequestError as error:
            return fault_of(error)
        except TimeoutError:
            return Fault("the response is not complete", retried=False, timed_out=True)


async def _packed(
    images: Iterable[ImageSource] | AsyncIterable[ImageSource], packer: Packer
) -> AsyncIterator[ImageBatch | UnreadableImageError]:
    """Yield the batches; files are read and images are encoded in a thread, one batch at a time."""
    chunk: list[ImageSource] = []
    async for image in _each(images):
        chunk.append(image)
        if len(chunk) >= packer.max_images:
            async for batch in _in_thread(packer.add(chunk)):
                yield batch
            chunk.clear()
    async for batch in _in_thread(packer.add(chunk)):
        yield batch
    for batch in packer.rest():
        yield batch


async def _each(
    images: Iterable[ImageSource] | AsyncIterable[ImageSource],
) -> AsyncIterator[ImageSource]:
    if isinstance(images, AsyncIterable):
        async for image in images:
            yield image
    else:
        for image in images:
            yield image


async def _in_thread(
    batches: Iterator[ImageBatch | UnreadableImageError],
) -> AsyncIterator[ImageBatch | UnreadableImageError]:
    while (batch := await asyncio.to_thread(next, batches, None)) is not None:
        yield batch
