"""The client for programs without asyncio."""

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from concurrent.futures import Future
from functools import partial
from itertools import chain
from random import Random
from typing import Self
from weakref import WeakSet

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
from oodguard.client.deadline_stream import Cancellation, ends_at, observe_deadlines
from oodguard.client.errors import ClientError, InvalidImageError
from oodguard.client.images import ImageSource, several
from oodguard.client.requests import ImageBatch, Packer, Target, single, together
from oodguard.client.results import ImageResult, ServedModels
from oodguard.client.retries import Fault, Received, RequestDeadline, fault_of, wait_before_retry
from oodguard.client.sender_threads import SenderThreads


class Client:
    """A client of one service. It may be used by several threads at once.

    Args:
        url: The URL of the service, such as http://localhost:8000.
        key: An API key. It is sent to this service only.
        deadline_s: The time for one request with all of its retries.
        concurrency: The requests of one `predict_many` that are sent at the same time.
        transport: Another transport of httpx2, for a proxy, a CA or a client certificate.

    Raises:
        ValueError: An argument is invalid.
    """

    def __init__(
        self,
        url: str,
        *,
        key: str | None = None,
        deadline_s: float = 60.0,
        concurrency: int = CONCURRENCY,
        transport: httpx2.BaseTransport | None = None,
    ) -> None:
        self._options = ClientOptions(
            url=checked_url(url), deadline_s=deadline_s, concurrency=concurrency
        )
        arguments = self._options.http_arguments(key)
        with environment_errors():
            self._http = httpx2.Client(**arguments, transport=transport)
        observe_deadlines(self._http)
        self._random = Random()  # noqa: S311 - spreads retries
        self._streams = WeakSet[Cancellation]()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._options.url!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections, and end the requests of each `predict_many`."""
        for each in list(self._streams):
            each.cancel()
        self._http.close()

    def predict(
        self,
        image: ImageSource,
        *,
        model: str | None = None,
        version: str | None = None,
        request_id: str | None = None,
    ) -> ImageResult:
        """Return the verdict on one image.

        Args:
            image: A path, encoded bytes, a PIL image, or a uint8 RGB array `(H, W, 3)`.
            model: The model that predicts; by default that of the service.
            version: Its version; by default the newest.
            request_id: An id for the log of the service; by default a random one.

        Raises:
            ClientError: There is no verdict; see `oodguard.client.errors`.
            TypeError: The object is no image.
            ValueError: Another argument is invalid.
        """
        check_request_id(request_id)
        batch = single(image, Target(model=model, version=version), request_id)
        return answers.results_of(self._send(batch), batch)[0]

    def predict_together(
        self,
        images: Iterable[ImageSource] | NDArray[np.uint8],
        *,
        fdr: float,
        model: str | None = None,
        version: str | None = None,
        request_id: str | None = None,
    ) -> list[ImageResult]:
        """Return the verdicts on images that are decided together, at a false-discovery rate.

        All images are sent in one request, because their number is part of the decision.

        Args:
            images: The images, at least one, and as many as the service accepts in a request.
            fdr: The rate, above 0 and below 1; see X-FDR in docs/http-api.md.
            model: As for `predict`.
            version: As for `predict`.
            request_id: As for `predict`.

        Raises:
            ClientError: There are no verdicts.
            TypeError: An object is no image.
            ValueError: There is no image, or another argument is invalid.
        """
        check_request_id(request_id)
        batch = together(several(images), Target(model=model, version=version, fdr=fdr), request_id)
        return answers.results_of(self._send(batch), batch)

    def predict_many(
        self,
        images: Iterable[ImageSource] | NDArray[np.uint8],
        *,
        model: str | None = None,
        version: str | None = None,
        request_id: str | None = None,
        on_invalid: Callable[[InvalidImageError], object] | None = None,
    ) -> Iterator[ImageResult]:
        """Yield the verdict on every image, in their order.

        The images are packed into requests of at most 64 images and 8 MiB, of which a few are sent
        at the same time. Images are read as results are taken: their number is not limited, and
        the memory does not grow with it. A loop that is left early ends its requests.

        Args:
            images: The images, or an array `(n, H, W, 3)`. An iterator is read lazily.
            model: As for `predict`.
            version: As for `predict`.
            request_id: The start of the ids of the requests, which end in -1, -2 and so on.
            on_invalid: Called with the error of each invalid image, which then has no result. By
                default the error is raised in place of the results of its request.

        Raises:
            ClientError: A request has no verdicts.
            TypeError: An object is no image.
            ValueError: Another argument is invalid.
        """
        check_request_id(request_id)
        packer = Packer(target=Target(model=model, version=version), request_id=request_id)
        return self._stream(several(images), packer, on_invalid)

    def models(self) -> ServedModels:
        """Return the loaded models.

        Raises:
            ClientError: There is no answer.
        """
        return answers.models_of(self._request("GET", "/models", {}, b"", Cancellation()))

    def healthy(self) -> bool:
        """Return whether the process of the service answers; nothing is repeated.

        Raises:
            UnexpectedResponseError: Something else answers.
        """
        return self._health("/healthz")

    def ready(self) -> bool:
        """Return whether the service accepts traffic; nothing is repeated.

        Raises:
            UnexpectedResponseError: Something else answers.
        """
        return self._health("/readyz")

    def _health(self, path: str) -> bool:
        outcome = self._attempt("GET", path, {}, b"", self._options.deadline(), Cancellation())
        return isinstance(outcome, Received) and answers.is_healthy(outcome)

    def _stream(
        self,
        images: Iterable[ImageSource],
        packer: Packer,
        on_invalid: Callable[[InvalidImageError], object] | None,
    ) -> Iterator[ImageResult]:
        stop, pending = Cancellation(), deque[Future[list[answers.Outcome]]]()
        self._streams.add(stop)
        skip = on_invalid is not None
        threads = SenderThreads[list[answers.Outcome]](self._options.concurrency, "oodguard-client")
        try:
            for each in chain(packer.add(images), packer.rest()):
                if isinstance(each, ImageBatch):
                    steps = answers.steps(each, packer, skip_invalid=skip)
                    pending.append(threads.submit(partial(self._run, steps, stop)))
                else:
                    pending.append(_finished([each]))
                if len(pending) > 2 * self._options.concurrency:
                    yield from answers.reported(pending.popleft().result(), on_invalid)
            while pending:
                yield from answers.reported(pending.popleft().result(), on_invalid)
        finally:
            threads.close()
            stop.cancel()

    def _run(
        self, steps: Generator[ImageBatch, Received, list[answers.Outcome]], stop: Cancellation
    ) -> list[answers.Outcome]:
        """Send the requests of `answers.steps`."""
        try:
            batch = next(steps)
            while True:
                try:
                    response = self._send(batch, stop)
                except ClientError as error:
                    batch = steps.throw(error)
                else:
                    batch = steps.send(response)
        except StopIteration as done:
            outcomes: list[answers.Outcome] = done.value
            return outcomes

    def _send(self, batch: ImageBatch, stop: Cancellation | None = None) -> Received:
        headers, body = batch.encode()
        return self._request("POST", batch.target.path, headers, body, stop or Cancellation())

    def _request(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes, stop: Cancellation
    ) -> Received:
        """Send a request until its outcome is final.

        Raises:
            ServiceUnreachableError: The last attempt had no response.
            ResponseTimeoutError: The deadline ended.
        """
        deadline = self._options.deadline()
        attempt = 0
        while True:
            outcome = self._attempt(method, path, headers, body, deadline, stop)
            wait_s = wait_before_retry(outcome, attempt, deadline.remaining_s(), self._random)
            if wait_s is None or stop.wait(wait_s):
                return answers.received(outcome, deadline, self._options.url, attempts=attempt + 1)
            attempt += 1

    def _attempt(  # noqa: PLR0913 - one request
        self,
        method: str,
        path: str,
        headers: Mapping[str, str],
        body: bytes,
        deadline: RequestDeadline,
        stop: Cancellation,
    ) -> Received | Fault:
        try:
            with (
                ends_at(deadline, stop),
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
                for chunk in response.iter_bytes():
                    content += chunk
                    if fault := answers.fault_of_body(len(content), deadline):
                        return fault
                return Received(
                    status=response.status_code, headers=response.headers, body=bytes(content)
                )
        except httpx2.RequestError as error:
            return fault_of(error)


def _finished(outcomes: list[answers.Outcome]) -> Future[list[answers.Outcome]]:
    future: Future[list[answers.Outcome]] = Future()
    future.set_result(outcomes)
    return future
