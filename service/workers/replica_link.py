"""A replica's side of a service whose replicas share no memory; see `ReplicaCollector`."""

import asyncio
import json
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, TypeAlias

from prometheus_client.registry import Collector

from oodguard.service.errors import NotReady
from oodguard.service.workers.channel import Message
from oodguard.service.workers.drift import SendsScores
from oodguard.service.workers.joined_calls import JoinedCalls
from oodguard.service.workers.metrics_sum import Collected, from_json, to_json
from oodguard.service.workers.process import OnlyProcess

logger = logging.getLogger("oodguard.server")

ANSWER_TIMEOUT_S = 5.0

MAX_UNSENT = 1000
"""The number of messages that wait for the collector; further ones are dropped."""

Post: TypeAlias = Callable[[Message], Awaitable[Message]]
"""Sends a message to the collector and returns its answer."""


class PostedMessages:
    """Sends messages to the collector, one after the other, so that their order is kept.

    Messages that are sent before there is an event loop are posted with the first one in a loop.

    Args:
        post: Sends one message.
        on_answer: Called with each message and its answer.

    Attributes:
        loop: The event loop that posts them.
    """

    loop: asyncio.AbstractEventLoop

    def __init__(self, post: Post, on_answer: Callable[[Message, Message], None]) -> None:
        self._post = post
        self._on_answer = on_answer
        self._unsent: deque[tuple[Message, asyncio.Future[Message] | None]] = deque()
        self._sending: asyncio.Task[None] | None = None
        self._is_reachable = True

    def notify(self, name: str, payload: bytes = b"", **fields: Any) -> None:  # noqa: ANN401 - JSON
        """Send a notice; drop it if too many messages wait."""
        if len(self._unsent) < MAX_UNSENT:
            self._send(Message({**fields, "name": name}, payload), None)

    async def call(self, name: str, payload: bytes = b"", **fields: Any) -> Message:  # noqa: ANN401 - JSON
        """Send a call and return its answer.

        Raises:
            NotReady: The collector does not answer.
        """
        answer: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        self._send(Message({**fields, "name": name}, payload), answer)
        return await answer

    def _send(self, message: Message, answer: asyncio.Future[Message] | None) -> None:
        self._unsent.append((message, answer))
        with suppress(RuntimeError):
            self.loop = asyncio.get_running_loop()
            if self._sending is None or self._sending.done():
                self._sending = self.loop.create_task(self._send_all())

    async def _send_all(self) -> None:
        while self._unsent:
            message, waiting = self._unsent.popleft()
            try:
                answer = await asyncio.wait_for(self._post(message), ANSWER_TIMEOUT_S)
            except Exception as error:  # noqa: BLE001 - of any kind that the engine raises
                self._drop_all(error, waiting)
                return
            self._is_reachable = True
            self._on_answer(message, answer)
            if waiting is not None and not waiting.done():
                waiting.set_result(answer)

    def _drop_all(self, error: Exception, waiting: asyncio.Future[Message] | None) -> None:
        if self._is_reachable:
            logger.warning(
                "The collector of metrics and drift tests does not answer.",
                extra={"fields": {"error": f"{type(error).__name__}: {error}"}},
            )
        self._is_reachable = False
        for each in (waiting, *(future for _, future in self._unsent)):
            if each is not None and not each.done():
                each.set_exception(NotReady("the metrics collector does not answer: retry later"))
        self._unsent.clear()


class ReplicaLink(SendsScores, OnlyProcess):
    """The process of one replica: its own limits and samples, common metrics and drift tests.

    Args:
        post: Sends one message to the collector.
    """

    def __init__(self, post: Post) -> None:
        self._messages = PostedMessages(post, self._on_answer)
        super().__init__(self._messages)
        self._collect = JoinedCalls(self._collect_once)

    async def collect(self) -> Collector:
        """Return the metrics of all replicas.

        Raises:
            NotReady: The collector does not answer. A smaller sum would look like a restart.
        """
        return await self._collect()

    def report(self) -> None:
        """Send the metrics of this replica to the collector."""
        self._messages.notify("report", *self._snapshot(), **self._served())

    async def close(self) -> None:
        """Send the last scores and metrics, and end what this replica has opened."""
        with suppress(NotReady):
            await self._messages.call("ended", *self._snapshot(), **self._served())
        await super().close()

    async def _collect_once(self) -> Collector:
        answer = await self._messages.call("collect", *self._snapshot(), **self._served())
        return Collected(from_json(json.loads(answer.payload)))

    def _snapshot(self) -> tuple[bytes]:
        return (json.dumps(to_json(self._metrics.registry.collect())).encode(),)

    def _served(self) -> dict[str, Any]:
        deployments = [each for _, each in self._reloader.registry.by_folder()]
        return {"served": [[each.name, each.version] for each in deployments]}

    def _on_answer(self, _message: Message, answer: Message) -> None:
        # A collector that was replaced does not know the models.
        if answer.fields.get("is_tested") is False:
            for each in self._monitors:
                each.announce()
