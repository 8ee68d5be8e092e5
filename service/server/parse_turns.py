"""Bound the time of parsing in a turn of the event loop; addresses take turns."""

import asyncio
import contextvars
import time
from typing import Protocol

from oodguard.service.inference.turn_queue import TurnQueue

MAX_TURN_NS = 2_000_000
"""The time of a turn. A prediction takes some ten turns of the event loop."""

STARTED_NS = 250_000
"""The time that a request takes in the next turns, after it was parsed; most are rejected."""

SHARED_NS = 1_000_000_000
"""The time for which turns are bounded after the address that sends has changed.

A client that is alone needs no turns, and further turns would take 5 % of its requests' time.
"""


class Connection(Protocol):
    """A connection with received bytes that are not parsed."""

    def continue_parsing(self) -> None:
        """Parse the received bytes."""


class ParseTurns:
    """Connections that wait because parsing has taken its time in this turn of the event loop.

    Parsing includes the responses of early load shedding. Without the bound, a turn of the event
    loop lasts as long as all requests of a flood that arrive together, and another client waits
    that long in each turn of its request.
    """

    def __init__(self) -> None:
        self._spent_ns = 0
        self._address = ""
        self._shared_until_ns = 0
        self._waiting: TurnQueue[Connection] = TurnQueue()

    def is_over(self, address: str) -> bool:
        """Return whether bytes that were received from an address have to wait."""
        if address != self._address:
            self._address = address
            self._shared_until_ns = time.perf_counter_ns() + SHARED_NS
        return self._spent_ns >= MAX_TURN_NS or bool(self._waiting)

    def spend(self, started_ns: int) -> None:
        """Add the time of parsing what was received at once, which started at a time."""
        ended_ns = time.perf_counter_ns()
        if ended_ns < self._shared_until_ns:
            self._spent_ns += ended_ns - started_ns + STARTED_NS

    def wait(self, address: str, connection: Connection) -> None:
        """Let a connection continue in one of the next turns.

        Args:
            address: The address of the client, or of its proxy.
            connection: The connection; it must not wait already.
        """
        if not self._waiting:
            self._continue_soon()
        self._waiting.put(address, connection)

    def _continue_soon(self) -> None:
        # Not in the context of a request.
        loop = asyncio.get_running_loop()
        loop.call_soon(self._continue, context=contextvars.Context())

    def _continue(self) -> None:
        self._spent_ns = 0
        # A connection may wait again at once: it pipelines requests.
        while self._waiting and self._spent_ns < MAX_TURN_NS:
            spent, started = self._spent_ns, time.perf_counter_ns()
            self._waiting.first().continue_parsing()
            self.spend(started)
            self._waiting.advance(self._spent_ns - spent)
        if self._waiting:
            self._continue_soon()
