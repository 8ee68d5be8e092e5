"""Graceful shutdown: connections in the accept backlog are served, later ones are not accepted."""

import asyncio
import socket
import sys
from contextlib import ExitStack

import pytest

from oodguard.service.server.graceful_shutdown import drain_accept_backlog

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="requires Linux socket filters")

WAITING = 20


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(await reader.read(4))
    await writer.drain()
    writer.close()


def connect_and_send(listener: socket.socket) -> socket.socket:
    """Connect and send without a chance for the event loop to accept the connection."""
    connection = socket.create_connection(listener.getsockname(), timeout=5)
    connection.sendall(b"here")
    return connection


def test_shutdown_serves_the_accept_backlog_and_accepts_no_later_connection() -> None:
    async def scene(stack: ExitStack) -> list[bytes]:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=2 * WAITING))
        server = await asyncio.start_server(echo, sock=listener)
        clients = [stack.enter_context(connect_and_send(listener)) for _ in range(WAITING)]
        draining = asyncio.create_task(drain_accept_backlog([listener]))
        await asyncio.sleep(0)
        with pytest.raises(TimeoutError):
            socket.create_connection(listener.getsockname(), timeout=0.05)
        await draining
        server.close()
        return [await asyncio.to_thread(client.recv, 4) for client in clients]

    with ExitStack() as stack:
        assert asyncio.run(scene(stack)) == [b"here"] * WAITING
