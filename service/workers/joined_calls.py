"""One run of a function for all callers that wait for it."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class JoinedCalls(Generic[T]):
    """Runs a function for one or several callers, one run at a time.

    Callers that arrive during a run share the next one, so that its result is never older than
    their call.

    Args:
        work: The function.
    """

    def __init__(self, work: Callable[[], Awaitable[T]]) -> None:
        self._work = work
        self._running: asyncio.Task[T] | None = None
        self._next: asyncio.Task[T] | None = None

    async def __call__(self) -> T:
        """Return the result of a run that has not begun yet."""
        if self._next is None:
            self._next = asyncio.get_running_loop().create_task(self._run(self._running))
        # A caller that is cancelled must not cancel the others.
        return await asyncio.shield(self._next)

    async def _run(self, before: "asyncio.Task[T] | None") -> T:
        if before is not None:
            await asyncio.wait([before])
            # The frame of a failed run stays with its error: without this line, each failed run
            # would keep the one before it.
            del before
        self._running, self._next = self._next, None
        return await self._work()
