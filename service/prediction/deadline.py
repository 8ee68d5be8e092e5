"""How long a request may take: the operator's bound, or less where the client says so."""

import asyncio
import re
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from starlette.types import Receive

from oodguard.service.errors import DeadlineExceeded, WrongFields

# Most requests are answered sooner, and a task for each would cost more than to read its body.
# Nothing is missed by it: whoever asks the channel later is told of a hang-up all the same.
LOOK_AFTER_S = 0.02


class DisconnectWatcher:
    """Calls `on_gone` if the client hangs up before the block ends.

    Args:
        receive: The ASGI channel of a request whose body has been read.
        on_gone: Called once, in the event loop.
    """

    def __init__(self, receive: Receive, on_gone: Callable[[], None]) -> None:
        self._receive = receive
        self._on_gone = on_gone
        self._watcher: asyncio.Task[None] | None = None

    def __enter__(self) -> Self:
        self._timer = asyncio.get_running_loop().call_later(LOOK_AFTER_S, self._look)
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()
        if self._watcher is not None:
            self._watcher.cancel()
            # Its error holds its frame, and that holds us: a circle around the request's images.
            self._watcher = None

    def _look(self) -> None:
        self._watcher = asyncio.get_running_loop().create_task(self._watch())

    async def _watch(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            self._watcher = None
        self._on_gone()


HEADER = "X-Timeout-Ms"

TAKEN = re.compile(r"[0-9]{1,9}", re.ASCII)


def timeout_s(header: str | None, most_s: float) -> float:
    """Return the seconds that a request has.

    Args:
        header: X-Timeout-Ms of the request, if it has one.
        most_s: The operator's bound, which no client can lengthen.

    Raises:
        WrongFields: Not a whole number of at least 1.
    """
    if header is None:
        return most_s
    if not TAKEN.fullmatch(header) or int(header) == 0:
        raise WrongFields(
            f"{HEADER} {header[:32]!r} came; a whole number of milliseconds from 1 to 999999999"
            " is wanted"
        )
    return min(int(header) / 1000, most_s)


class Deadline:
    """Gives up, as a block of `async with`, what takes longer.

    Args:
        seconds: How long it has.

    Attributes:
        seconds: How long it has in all.
        until: The `time.monotonic()` at which it is given up.

    Raises:
        DeadlineExceeded: From the block's end: it took longer.
    """

    def __init__(self, seconds: float) -> None:
        self._timeout = asyncio.timeout(seconds)
        self._began = time.monotonic()
        self.seconds = seconds
        self.until = self._began + seconds

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
        except TimeoutError as late:
            raise DeadlineExceeded(
                f"no answer within {round(self.seconds, 3):g} s; send fewer or smaller images,"
                " or allow more time"
            ) from late

    def shorten(self, seconds: float) -> None:
        """Give it `seconds` from now on, if that is less."""
        now = time.monotonic()
        if now + seconds < self.until:
            self.until = now + seconds
            self.seconds = self.until - self._began
            # The loop's clock need not be that of `time`.
            self._timeout.reschedule(asyncio.get_running_loop().time() + seconds)
