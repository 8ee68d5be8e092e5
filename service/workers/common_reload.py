"""Reload all workers, so that they serve the same."""

import asyncio
import json
import logging
from collections.abc import Callable, Sequence

from oodguard.models.errors import GuardError
from oodguard.service.workers.channel import ChannelClosed, Message
from oodguard.service.workers.worker_process import Worker

logger = logging.getLogger("oodguard.server")

# After the first worker has reloaded, the others have this long. One that takes longer is replaced,
# and ends within OODGUARD_DRAIN_S and OODGUARD_TIMEOUT_S.
RELOAD_SKEW_S = 10.0

# Files may change while the workers read them one after the other.
RELOAD_ATTEMPTS = 3


class CommonReload:
    """Reloads keys and models in all workers.

    Args:
        ready: Returns the workers that have loaded their models.
        on_reloaded: Called after each reload.

    Attributes:
        lock: Serializes reloads, and the start of a worker next to others.
    """

    def __init__(
        self, ready: Callable[[], Sequence[Worker]], on_reloaded: Callable[[], None]
    ) -> None:
        self._ready = ready
        self._on_reloaded = on_reloaded
        self.lock = asyncio.Lock()

    async def reload_all(self) -> None:
        """Reload keys and models in all workers."""
        async with self.lock:
            # Keys first: a revoked key must not stay active until the models are loaded.
            await self._in_all("reload_keys")
            await self.together(None)

    async def reload(self, only: str | None) -> Message:
        """Reload one model, or all of them, in all workers; see `together`."""
        async with self.lock:
            return await self.together(only)

    async def together(self, only: str | None) -> Message:
        """Reload in all workers; return the answer of the one that counts and logs it.

        The caller holds the lock.

        Raises:
            UnknownModel: The model is not served.
        """
        answers = await self._in_all("reload", only=only)
        if not answers:
            raise ChannelClosed("no worker is ready: retry")
        await self.agree()
        self._on_reloaded()
        error = next(iter(answers.values()))
        if isinstance(error, GuardError):
            raise error
        return error

    async def agree(self) -> None:
        """Reload until all workers serve the same, and replace those that do not.

        The caller holds the lock.
        """
        for _ in range(RELOAD_ATTEMPTS):
            if len({json.dumps(each.fingerprint) for each in self._ready()}) <= 1:
                return
            await self._in_all("reload_keys", record=False)
            await self._in_all("reload", record=False)
        first, *others = self._ready()
        for each in others:
            if each.fingerprint != first.fingerprint:
                logger.error(
                    "A worker process serves other models than the first one and is replaced.",
                    extra={"fields": {"worker": each.number, "pid": each.pid}},
                )
                each.replace()

    async def _in_all(
        self, name: str, *, record: bool = True, only: str | None = None
    ) -> dict[int, Message | GuardError]:
        """Call all ready workers; return their answers, that of the recording one first."""
        calls = {
            asyncio.ensure_future(
                each.channel.call(name, record=record and index == 0, only=only)
            ): each
            for index, each in enumerate(self._ready())
        }
        if not calls:
            return {}
        await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED)
        _, late = await asyncio.wait(calls, timeout=RELOAD_SKEW_S)
        for call in late:
            call.cancel()
            logger.error(
                "A worker process does not finish a reload and is replaced.",
                extra={"fields": {"worker": calls[call].number, "pid": calls[call].pid}},
            )
            calls[call].replace()
        answers: dict[int, Message | GuardError] = {}
        for call, worker in calls.items():
            if call in late:
                continue
            error = call.exception()
            if error is None:
                worker.update(call.result())
                answers[worker.number] = call.result()
            elif isinstance(error, GuardError) and not isinstance(error, ChannelClosed):
                answers[worker.number] = error
        return answers
