"""The memory of a server under floods, as the oracle of what its connections may hold."""

import asyncio
from dataclasses import dataclass

import httpx2

from benchmarks.serving.processes import peak_bytes, process_tree, reset_peak, used_bytes
from tests.abuse.floods import Flood, send
from tests.e2e.conftest import RunningServer, is_ready, wait_until

# Over idle, for one connection and for a thousand.
MAX_BYTES_OF_ONE = 64 * 2**20
MAX_BYTES_OF_MANY = 256 * 2**20


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """The result of a flood.

    Attributes:
        peak_bytes: The peak of the memory of all processes, minus that before the flood.
        kept_bytes: Their memory after the flood, minus that before it.
        fault: The log of the server if it has a traceback, or what happened to its processes.
    """

    peak_bytes: int
    kept_bytes: int
    fault: str | None


def outcome(
    server: RunningServer, flood: Flood, *, connections: int = 1, max_bytes: int
) -> Outcome:
    """Send a flood to a server, then wait until all of its processes have handled it."""
    processes = process_tree(server.process.pid)
    logged = len(server.log.read_text())
    before = used_bytes(processes)
    reset_peak(processes)
    asyncio.run(send(server.address, flood, connections=connections, max_bytes=max_bytes))
    # It may still have to read what was sent before it notices that its clients are gone.
    wait_until(lambda: is_ready(server.url))
    # Another worker may have answered; this one asks all of them.
    httpx2.get(f"{server.url}/metrics", timeout=30)
    log = server.log.read_text()[logged:]
    fault = log if "Traceback" in log else None
    if process_tree(server.process.pid) != processes:
        fault = f"a process of the server has ended: {log}"
    return Outcome(
        peak_bytes=peak_bytes(processes) - before,
        kept_bytes=used_bytes(processes) - before,
        fault=fault,
    )
