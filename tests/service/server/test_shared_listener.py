"""A listening socket that several workers accept from."""

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest

from oodguard.service.server import shared_listener
from oodguard.service.server.shared_listener import SharedListener

pytestmark = pytest.mark.anyio


class Balance:
    """The connections of one worker, and whether it has the most."""

    def __init__(self) -> None:
        self.connections = 0
        self.serves = False
        self.has_most = False

    def has_most_connections(self) -> bool:
        return self.has_most

    def set_connections(self, connections: int) -> None:
        self.connections = connections

    def set_serves(self, *, serves: bool) -> None:
        self.serves = serves


class Worker(asyncio.Protocol):
    """Greets each client with the number of its worker."""

    def __init__(self, greeting: bytes) -> None:
        self._greeting = greeting

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        transport.write(self._greeting)
        transport.close()


class Listener:
    """A listening socket, and its copies in workers."""

    def __init__(self) -> None:
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.socket.setblocking(False)
        self.copies: list[socket.socket] = []

    def copy(self) -> socket.socket:
        self.copies.append(self.socket.dup())
        return self.copies[-1]


@pytest.fixture(name="listener")
async def _listener() -> AsyncIterator[Listener]:
    listener = Listener()
    yield listener
    for each in [listener.socket, *listener.copies]:
        each.close()


def share(listener: Listener, greeting: bytes) -> tuple[SharedListener, Balance]:
    balance = Balance()
    shared = SharedListener(listener.copy(), lambda: Worker(greeting), balance, lambda: 0)
    shared.start()
    assert balance.serves
    return shared, balance


async def greeting(listener: Listener) -> bytes:
    reader, writer = await asyncio.open_connection(*listener.socket.getsockname())
    received = await reader.read()
    writer.close()
    await writer.wait_closed()
    return received


async def test_shared_listener_leaves_connections_to_a_worker_with_fewer(
    listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Longer than all connections of this test take, also on a busy machine.
    monkeypatch.setattr(shared_listener, "DEFER_S", 0.5)
    busy, balance = share(listener, b"busy")
    balance.has_most = True
    idle, _ = share(listener, b"idle")
    assert {await greeting(listener) for _ in range(8)} == {b"idle"}
    idle.close()
    # If no other worker accepts, it does so after all.
    assert await greeting(listener) == b"busy"
    busy.close()
    await busy.wait_closed()
    assert not balance.serves


async def test_shared_listener_leaves_the_backlog_to_the_others_when_it_closes(
    listener: Listener,
) -> None:
    first, _ = share(listener, b"first")
    first.close()
    waiting = asyncio.create_task(greeting(listener))
    await asyncio.sleep(0.01)
    assert not waiting.done()
    second, _ = share(listener, b"second")
    assert await waiting == b"second"
    second.close()


async def test_shared_listener_counts_a_connection_that_is_being_opened(
    listener: Listener,
) -> None:
    shared, balance = share(listener, b"hello")
    assert await greeting(listener) == b"hello"
    assert balance.connections == 1
    shared.close()
