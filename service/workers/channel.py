"""Messages between the supervisor and a worker: calls with an answer, and notices without one.

A message is a JSON object and bytes. Both ends are processes of one service and trust each other.
"""

import asyncio
import inspect
import json
import logging
import socket
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import count
from typing import Any, TypeAlias

from oodguard.models.errors import GuardError
from oodguard.service import errors

logger = logging.getLogger("oodguard.server")

_LENGTHS = struct.Struct("<II")

Fields: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Message:
    """A message, or the answer to one."""

    fields: Fields
    payload: bytes = b""


Handler: TypeAlias = Callable[[Message], Any]
"""Handles a message; the result, which may be awaitable, is the answer: a Message, fields or None.
It is called in the event loop, in the order of the messages."""


class ChannelClosed(GuardError):
    """The other end has closed the channel, or has ended."""


class Channel:
    """One end of the connection between the supervisor and a worker.

    Messages that are sent before `open` are sent by it.

    Args:
        connection: A connected stream socket.
        handlers: The functions that handle messages, by name.

    Attributes:
        handlers: The functions that handle messages, by name.
        loop: The event loop that serves it.
    """

    loop: asyncio.AbstractEventLoop

    def __init__(self, connection: socket.socket, handlers: Mapping[str, Handler]) -> None:
        self._connection = connection
        self.handlers = dict(handlers)
        self._writer: asyncio.StreamWriter | None = None
        self._unsent: list[bytes] = []
        self._ids = count(1)
        self._calls: dict[int, asyncio.Future[Message]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = False

    @property
    def unsent_bytes(self) -> int:
        """The number of bytes that wait to be sent."""
        if self._writer is None:
            return sum(map(len, self._unsent))
        return self._writer.transport.get_write_buffer_size()

    async def serve(self) -> None:
        """Handle messages until the other end is closed."""
        self._connection.setblocking(False)
        self.loop = asyncio.get_running_loop()
        reader, self._writer = await asyncio.open_unix_connection(sock=self._connection)
        for each in self._unsent:
            self._writer.write(each)
        self._unsent.clear()
        try:
            while True:
                head, tail = _LENGTHS.unpack(await reader.readexactly(_LENGTHS.size))
                fields = json.loads(await reader.readexactly(head))
                self._handle(Message(fields, await reader.readexactly(tail)))
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self._closed = True
            for future in self._calls.values():
                if not future.done():
                    future.set_exception(ChannelClosed("the other process has ended"))
            self._calls.clear()
            self._writer.close()

    def send_before_the_end(self, name: str, **fields: Any) -> None:  # noqa: ANN401 - JSON
        """Send a notice from a process that ends without an event loop."""
        self.notify(name, **fields)
        self._connection.setblocking(True)
        self._connection.sendall(b"".join(self._unsent))

    def notify(self, name: str, payload: bytes = b"", **fields: Any) -> None:  # noqa: ANN401 - JSON
        """Send a notice."""
        self._send({"name": name, **fields}, payload)

    async def call(self, name: str, payload: bytes = b"", **fields: Any) -> Message:  # noqa: ANN401 - JSON
        """Send a call and return its answer.

        Raises:
            GuardError: The error that the handler raised.
            ChannelClosed: There is no answer, because the other process has ended.
        """
        if self._closed:
            raise ChannelClosed("the other process has ended")
        call = next(self._ids)
        future: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        self._calls[call] = future
        self._send({"name": name, "call": call, **fields}, payload)
        try:
            return await future
        finally:
            self._calls.pop(call, None)

    def _send(self, fields: Fields, payload: bytes) -> None:
        head = json.dumps(fields).encode()
        data = b"".join((_LENGTHS.pack(len(head), len(payload)), head, payload))
        if self._writer is None:
            self._unsent.append(data)
        elif not self._closed:
            self._writer.write(data)

    def _handle(self, message: Message) -> None:
        answered = message.fields.get("answers")
        if answered is not None:
            future = self._calls.get(answered)
            if future is not None and not future.done():
                _resolve(future, message)
            return
        call = message.fields.get("call")
        try:
            result = self.handlers[message.fields["name"]](message)
        except Exception as error:  # noqa: BLE001 - one message must not end the channel
            self._answer(call, _expected(error))
            return
        if inspect.isawaitable(result):
            task = asyncio.ensure_future(self._finish(call, result))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        else:
            self._answer(call, result)

    async def _finish(self, call: int | None, result: Any) -> None:  # noqa: ANN401 - an awaitable
        try:
            self._answer(call, await result)
        except Exception as error:  # noqa: BLE001 - one message must not end the channel
            self._answer(call, _expected(error))

    def _answer(self, call: int | None, result: object) -> None:
        if call is None:
            return
        if isinstance(result, GuardError):
            self._send({"answers": call, "error": type(result).__name__, "text": str(result)}, b"")
        elif isinstance(result, Message):
            self._send({**result.fields, "answers": call}, result.payload)
        else:
            self._send({**(result or {}), "answers": call}, b"")  # type: ignore[dict-item]


def _expected(error: Exception) -> GuardError:
    """Return an error of the tree, and log one that is not."""
    if isinstance(error, GuardError):
        return error
    logger.error("A message between processes was not handled.", exc_info=error)
    return GuardError(f"unexpected error between processes: {type(error).__name__}")


def error_named(name: str, text: str) -> GuardError:
    """Return the error of a class name; a GuardError if the service has no error of that name."""
    kind: type[GuardError] = getattr(errors, name, GuardError)
    return kind(text)


def _resolve(future: "asyncio.Future[Message]", message: Message) -> None:
    name = message.fields.get("error")
    if name is None:
        future.set_result(message)
    else:
        future.set_exception(error_named(name, message.fields["text"]))
