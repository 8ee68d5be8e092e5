"""Deadlines of requests, and the cancellation of work after a client disconnect."""

import asyncio
import re
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from starlette.types import Receive

from oodguard.service.errors import DeadlineExceeded, WrongFields

TIMEOUT_HEADER = "X-Timeout-Ms"

MILLISECONDS = re.compile(r"[0-9]{1,9}", re.ASCII)

# Most responses are sent sooner, and a task for each of them would cost more than reading a body.
# No disconnect is missed: a later call of `receive` returns it all the same.
WATCH_AFTER_S = 0.02


def request_timeout_s(header: str | None, max_s: float) -> float:
    """Return the timeout of a request in seconds.

    Args:
        header: X-Timeout-Ms of the request, if it has one.
        max_s: The configured timeout, which a client can shorten and not extend.

    Raises:
        WrongFields: The header is not a whole number of at least 1.
    """
    if header is None:
        return max_s
    if not MILLISECONDS.fullmatch(header) or int(header) == 0:
        raise WrongFields(
            f'{TIMEOUT_HEADER} is "{header[:32]}", expected a whole number of milliseconds'
            " from 1 to 999999999"
        )
    return min(int(header) / 1000, max_s)


class Deadline:
    """An `async with` block that is cancelled at a deadline.

    Attributes:
        timeout_s: Seconds from the start to the deadline.
        at: The deadline by `time.monotonic()`.

    Raises:
        DeadlineExceeded: From the end of the block: it was cancelled.
    """

    def __init__(self, timeout_s: float) -> None:
        self._timeout = asyncio.timeout(timeout_s)
        self._started = time.monotonic()
        self.timeout_s = timeout_s
        self.at = self._started + timeout_s

    async def __aenter__(self) -> Self:
        await self._timeout.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            await self._timeout.__aexit__(kind, error, traceback)
        except TimeoutError as timeout:
            raise DeadlineExceeded(
                f"no response within {round(self.timeout_s, 3):g} s: send fewer or smaller images,"
                " or increase the timeout"
            ) from timeout

    def shorten(self, timeout_s: float) -> None:
        """Move the deadline to `timeout_s` seconds from now, if that is earlier."""
        now = time.monotonic()
        if now + timeout_s < self.at:
            self.at = now + timeout_s
            self.timeout_s = self.at - self._started
            # The event loop's clock need not be that of `time`.
            self._timeout.reschedule(asyncio.get_running_loop().time() + timeout_s)


class DisconnectWatcher:
    """Call a function if the client disconnects before the `with` block ends.

    Args:
        receive: The ASGI channel of a request whose body has been read.
        on_disconnect: Called at most once, in the event loop.
    """

    def __init__(self, receive: Receive, on_disconnect: Callable[[], None]) -> None:
        self._receive = receive
        self._on_disconnect = on_disconnect
        self._task: asyncio.Task[None] | None = None

    def __enter__(self) -> Self:
        self._timer = asyncio.get_running_loop().call_later(WATCH_AFTER_S, self._start)
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()
        if self._task is not None:
            self._task.cancel()
            # The task's error refers to its frame, and that to this object: without this line,
            # the reference cycle would keep the images of the request in memory.
            self._task = None

    def _start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._watch())

    async def _watch(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._task = None
        self._on_disconnect()
