"""Who stands in the door as it is closed is let in; who comes later is not."""

import asyncio
import socket
import sys
from contextlib import ExitStack

import pytest

from oodguard.service.server.server import drain_accept_backlog

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="wants Linux's socket filters")

WAITING = 20


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(await reader.read(4))
    await writer.drain()
    writer.close()


def caller(listener: socket.socket) -> socket.socket:
    """Connect without letting the event loop accept, and send."""
    connection = socket.create_connection(listener.getsockname(), timeout=5)
    connection.sendall(b"here")
    return connection


def test_waiting_connections_are_answered_and_later_ones_are_not_taken() -> None:
    async def scene(stack: ExitStack) -> list[bytes]:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=2 * WAITING))
        server = await asyncio.start_server(echo, sock=listener)
        callers = [stack.enter_context(caller(listener)) for _ in range(WAITING)]
        closing = asyncio.create_task(drain_accept_backlog([listener]))
        await asyncio.sleep(0)
        with pytest.raises(TimeoutError):
            socket.create_connection(listener.getsockname(), timeout=0.05)
        await closing
        server.close()
        return [await asyncio.to_thread(each.recv, 4) for each in callers]

    with ExitStack() as stack:
        assert asyncio.run(scene(stack)) == [b"here"] * WAITING
