"""Hearing that a client hung up while its request is being answered."""

import asyncio
from collections.abc import Callable
from typing import Self

from starlette.types import Receive

# Most requests are answered sooner, and a task for each would cost more than to read its body.
# Nothing is missed by it: whoever asks the channel later is told of a hang-up all the same.
LOOK_AFTER_S = 0.02


class HangUpWatch:
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
