"""The largest JSON bodies take the memory that the start announces, and return it."""

import asyncio
import threading
from pathlib import Path

import psutil
import pytest

from tests.abuse.case import request
from tests.e2e.conftest import RunningServer, serving, wait_until

MAX_BODY_BYTES = 2**24
CONNECTIONS = 32
BODIES = 3

# The budget of the start-up contains twice the bodies in flight, and one for each thread.
MAX_BYTES = 2 * 2**27 + 4 * MAX_BODY_BYTES

# glibc keeps free memory that is between memory in use.
MAX_KEPT_BYTES = 64 * 2**20

EMOJI = "\U0001f600"


@pytest.mark.slow
@pytest.mark.parametrize("end", ["", EMOJI, "\\ud83d\\ude00"])
def test_large_json_bodies_take_bounded_memory_for_a_time(
    tiny_bundle: Path, tmp_path: Path, end: str
) -> None:
    """With an emoji, Python took 64 MB for each body while it was parsed, and kept 180 MB."""
    frame = len('{"images":[""]}')
    text = "A" * (MAX_BODY_BYTES - frame - len(end.encode())) + end
    body = request(f'{{"images":["{text}"]}}'.encode(), "application/json")
    with serving(tiny_bundle, tmp_path / "log", {"OODGUARD_WORKERS": 1}) as server:
        before = _memory(server)
        watch = _Watch(server)
        asyncio.run(_flood(server, body))
        assert watch.peak() - before <= MAX_BYTES
        wait_until(lambda: _memory(server) - before <= MAX_KEPT_BYTES)
        assert "Traceback" not in server.log.read_text()


async def _flood(server: RunningServer, body: bytes) -> None:
    await asyncio.gather(*(_send(server, body) for _ in range(CONNECTIONS)))


async def _send(server: RunningServer, body: bytes) -> None:
    """Send the body several times, each on a new connection; most of them are rejected early."""
    for _ in range(BODIES):
        reader, writer = await asyncio.open_connection(*server.address)
        try:
            writer.write(body)
            status = (await reader.readuntil(b"\r\n")).split()[1]
            assert status in {b"400", b"422", b"429"}
        except (OSError, asyncio.IncompleteReadError):
            pass  # closed while the rest of a rejected body was sent
        finally:
            writer.close()


class _Watch:
    """Polls the memory of a server until its peak is required."""

    def __init__(self, server: RunningServer) -> None:
        self._server = server
        self._peak = 0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def peak(self) -> int:
        self._ended.set()
        self._thread.join()
        return self._peak

    def _run(self) -> None:
        while not self._ended.wait(0.05):
            self._peak = max(self._peak, _memory(self._server))


def _memory(server: RunningServer) -> int:
    """Return the memory of all processes that no other has, in bytes."""
    main = psutil.Process(server.process.pid)
    return sum(each.memory_full_info().uss for each in (main, *main.children(recursive=True)))
