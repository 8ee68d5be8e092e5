"""The memory of a server under floods, as the oracle of what its connections may hold."""

import asyncio
from dataclasses import dataclass

import psutil

from benchmarks.serving.processes import peak_rss_bytes, reset_peak_rss
from tests.abuse.floods import Flood, send
from tests.e2e.conftest import RunningServer, is_ready, wait_until

# Over idle, for one connection and for a thousand.
MAX_BYTES_OF_ONE = 64 * 2**20
MAX_BYTES_OF_MANY = 256 * 2**20


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """The result of a flood.

    Attributes:
        peak_bytes: The peak of the server's resident memory, minus that before the flood.
        kept_bytes: The resident memory after the flood, minus that before it.
        fault: The log of the server, if it has a traceback.
    """

    peak_bytes: int
    kept_bytes: int
    fault: str | None


def outcome(
    server: RunningServer, flood: Flood, *, connections: int = 1, max_bytes: int
) -> Outcome:
    """Send a flood to a server, then wait until it is ready."""
    process = psutil.Process(server.process.pid)
    logged = len(server.log.read_text())
    before = process.memory_info().rss
    reset_peak_rss(process.pid)
    asyncio.run(send(server.address, flood, connections=connections, max_bytes=max_bytes))
    # It may still have to read what was sent before it notices that its clients are gone.
    wait_until(lambda: is_ready(server.url))
    log = server.log.read_text()[logged:]
    return Outcome(
        peak_bytes=peak_rss_bytes(process.pid) - before,
        kept_bytes=process.memory_info().rss - before,
        fault=log if "Traceback" in log else None,
    )
