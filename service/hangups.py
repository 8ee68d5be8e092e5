"""Hearing that a client hung up while its request is being answered."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from starlette.types import Receive


@contextmanager
def watched(receive: Receive, on_gone: Callable[[], None]) -> Iterator[None]:
    """Call `on_gone` if the client hangs up before the block ends.

    Args:
        receive: The ASGI channel of a request whose body has been read.
        on_gone: Called once, in the event loop.
    """
    watcher = asyncio.get_running_loop().create_task(_watch(receive, on_gone))
    try:
        yield
    finally:
        watcher.cancel()


async def _watch(receive: Receive, on_gone: Callable[[], None]) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    on_gone()
