"""Deadlines of requests, and the cancellation of work after a client disconnect."""

import asyncio
import math
import re
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from starlette.types import Receive

from oodguard.service.errors import BodyTooSlow, DeadlineExceeded, RequestError, WrongFields

TIMEOUT_HEADER = "X-Timeout-Ms"

MILLISECONDS = re.compile(r"[0-9]{1,9}", re.ASCII)

# A body on a mobile connection of 8 kbit/s is fast enough, and a pause of a few seconds is allowed.
MIN_BODY_BYTES = 10_000
BODY_PERIOD_S = 10.0

# Most responses are sent sooner, and a task for each of them would cost more than reading a body.
# No disconnect is missed: a later call of `receive` still returns it.
LISTEN_AFTER_S = 0.02


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
    """An `async with` block that is cancelled at a deadline, or while it receives a slow body.

    Until `body_complete` is called, the block also ends `body_timeout_s` seconds after its start,
    and when fewer than `MIN_BODY_BYTES` are received within `BODY_PERIOD_S`.

    `asyncio.timeout` would move its timer for every body, which costs more than the rest of it. The
    timer of this class is moved when it is due, which for most requests it never is.

    Args:
        timeout_s: Seconds from the start to the deadline.
        body_timeout_s: Seconds from the start to the end of the body; None: there is no body.

    Attributes:
        timeout_s: Seconds from the start to the deadline.
        at: The deadline by `time.monotonic()`.

    Raises:
        DeadlineExceeded: From the end of the block: it was cancelled at the deadline.
        BodyTooSlow: From the end of the block: it was cancelled because of its body.
    """

    def __init__(self, timeout_s: float, body_timeout_s: float | None = None) -> None:
        self._started = time.monotonic()
        self.timeout_s = timeout_s
        self.at = self._started + timeout_s
        self._body_timeout_s = body_timeout_s
        self._body_bytes = self._period_bytes = 0
        self._period_ends = math.inf
        if body_timeout_s is not None:
            self._period_ends = self._started + min(BODY_PERIOD_S, body_timeout_s)
        self._error: RequestError | None = None

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        self._task = asyncio.current_task(self._loop)
        self._cancelling = self._task.cancelling() if self._task else 0
        self._start_timer(min(self.at, self._period_ends) - self._started)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._timer.cancel()
        task, self._task = self._task, None
        if self._error is None or task is None:
            return
        # If the task was also cancelled by others, it remains cancelled, as in `asyncio.timeout`.
        if task.uncancel() <= self._cancelling and kind is asyncio.CancelledError:
            raise self._error from error

    def shorten(self, timeout_s: float) -> None:
        """Move the deadline to `timeout_s` seconds from now, if that is earlier."""
        now = time.monotonic()
        if now + timeout_s < self.at:
            self.at = now + timeout_s
            self.timeout_s = self.at - self._started
            self._timer.cancel()
            self._start_timer(timeout_s)

    def body_received(self, count: int) -> None:
        """Extend the time for the body if enough of it was received."""
        self._body_bytes += count
        self._period_bytes += count
        if self._period_bytes >= MIN_BODY_BYTES and self._body_timeout_s is not None:
            self._period_bytes = 0
            body_ends = self._started + self._body_timeout_s
            self._period_ends = min(time.monotonic() + BODY_PERIOD_S, body_ends)

    def body_complete(self) -> None:
        """Keep only the deadline."""
        self._period_ends = math.inf

    def _start_timer(self, delay_s: float) -> None:
        self._timer = self._loop.call_later(delay_s, self._on_timer)

    def _on_timer(self) -> None:
        now = time.monotonic()
        left_s = min(self.at, self._period_ends) - now
        if left_s > 0:
            self._start_timer(left_s)
            return
        self._error = self._slow_body(now) if self._period_ends < self.at else self._exceeded()
        if self._task is not None:
            self._task.cancel()

    def _exceeded(self) -> DeadlineExceeded:
        return DeadlineExceeded(
            f"no response within {round(self.timeout_s, 3):g} s: send fewer or smaller images,"
            " or increase the timeout"
        )

    def _slow_body(self, now: float) -> BodyTooSlow:
        return BodyTooSlow(
            f"the body is incomplete after {now - self._started:.1f} s: received"
            f" {self._body_bytes} bytes, expected its end within {self._body_timeout_s:g} s"
            f" and at least {MIN_BODY_BYTES} bytes in every {BODY_PERIOD_S:g} s"
        )


class DisconnectListener:
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
        self._timer = asyncio.get_running_loop().call_later(LISTEN_AFTER_S, self._start)
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()
        if self._task is not None:
            self._task.cancel()
            # The task's error refers to its frame, and that to this object: without this line,
            # the reference cycle would keep the images of the request in memory.
            self._task = None

    def _start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._listen())

    async def _listen(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._task = None
        self._on_disconnect()
