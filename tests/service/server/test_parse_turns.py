"""Parsing takes a bounded time in a turn of the event loop, and addresses take turns."""

import asyncio
import time

import pytest
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from oodguard.service.server import parse_turns
from oodguard.service.server.parse_turns import MAX_TURN_NS, SHARED_NS, STARTED_NS, ParseTurns
from tests.service.server.http_server import running_server

FLOODING, OTHER = "127.0.0.1", "127.0.0.2"
GET = b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n"

pytestmark = pytest.mark.anyio


class Waiting:
    """A connection that appends its address and the turn of the event loop when it continues."""

    def __init__(self, address: str, continued: list[tuple[int, str]]) -> None:
        self.address = address
        self._continued = continued

    turn = 0

    def continue_parsing(self) -> None:
        self._continued.append((Waiting.turn, self.address))


async def continue_all(turns: ParseTurns, addresses: list[str]) -> list[tuple[int, str]]:
    """Let connections of these addresses wait; return when each continued, and its address."""
    continued: list[tuple[int, str]] = []
    for address in addresses:
        turns.wait(address, Waiting(address, continued))
    Waiting.turn = 0
    while len(continued) < len(addresses):
        await asyncio.sleep(0)
        Waiting.turn += 1
    return continued


async def test_parse_turns_continue_some_connections_in_each_turn() -> None:
    turns = ParseTurns()
    assert not turns.is_over(FLOODING)
    continued = await continue_all(turns, [FLOODING] * 100 + [OTHER])
    counts = [[turn for turn, _ in continued].count(number) for number in range(100)]
    assert 1 <= max(counts) <= MAX_TURN_NS // STARTED_NS
    assert OTHER in [address for _, address in continued[:3]]


async def test_parse_turns_are_not_bounded_while_one_address_sends(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 10**12
    monkeypatch.setattr(time, "perf_counter_ns", lambda: now)
    turns = ParseTurns()
    assert not turns.is_over(FLOODING)
    now += SHARED_NS
    turns.spend(now - MAX_TURN_NS)
    assert not turns.is_over(FLOODING)
    assert not turns.is_over(OTHER)
    turns.spend(now - MAX_TURN_NS)
    assert turns.is_over(OTHER)
    # The turn ends after the connection that waits.
    await continue_all(turns, [OTHER])
    assert not turns.is_over(OTHER)


async def test_requests_that_arrive_together_are_started_over_several_turns(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(parse_turns, "STARTED_NS", MAX_TURN_NS)
    started: list[tuple[int, str]] = []
    turn = 0

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            started.append((turn, scope["client"][0]))
            await PlainTextResponse("yes")(scope, receive, send)

    async def request(port: int, address: str) -> bytes:
        reader, writer = await asyncio.open_connection(FLOODING, port, local_addr=(address, 0))
        opened.release()
        await sent.wait()
        writer.write(GET)
        response = await reader.read()
        writer.close()
        return response

    opened, sent = asyncio.Semaphore(0), asyncio.Event()
    async with running_server(app) as port:
        addresses = [FLOODING] * 20 + [OTHER]
        tasks = [asyncio.create_task(request(port, address)) for address in addresses]
        for _ in tasks:
            await opened.acquire()
        sent.set()
        while not all(task.done() for task in tasks):
            turn += 1
            await asyncio.sleep(0)
        assert all(task.result().endswith(b"yes") for task in tasks)
    turns = [each for each, _ in started]
    # One in each turn, and one that the turn before has left.
    assert max(turns.count(each) for each in turns) <= 2
    assert OTHER in [address for _, address in started[:4]]
