"""Loops over `predict_many` that are left before their end."""

import asyncio
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import pytest
from numpy.typing import NDArray

from oodguard.client import AsyncClient, Client
from tests.client.test_broken_servers import broken_server, ready, silent

DEADLINE_S = 600.0
WAIT_S = 60.0

SYNC = """
import sys
import numpy as np
from oodguard.client import Client

client = Client(sys.argv[1], deadline_s=600, concurrency=1)
results = client.predict_many(np.zeros((8 + n, 8, 3), np.uint8) for n in range(9))
print(next(results).label)
"""

ASYNC = """
import asyncio
import sys
import numpy as np
from oodguard.client import AsyncClient

async def main():
    client = AsyncClient(sys.argv[1], deadline_s=600, concurrency=1)
    results = client.predict_many(np.zeros((8 + n, 8, 3), np.uint8) for n in range(9))
    print((await anext(results)).label)

asyncio.run(main())
"""


@dataclass(kw_only=True, slots=True)
class Stuck:
    """A service that answers the first request, and no other."""

    url: str = ""
    received: threading.Event = field(default_factory=threading.Event)
    ended: threading.Event = field(default_factory=threading.Event)


@contextmanager
def stuck_service() -> Iterator[Stuck]:
    found = Stuck()

    def hold(connection: object) -> None:
        found.received.set()
        silent(connection)  # type: ignore[arg-type]
        found.ended.set()

    with broken_server(ready, hold) as found.url:
        yield found


def images() -> Iterator[NDArray[np.uint8]]:
    """Yield images of different shapes, which need a request each."""
    return (np.zeros((8 + number, 8, 3), np.uint8) for number in range(9))


def leave(client: Client, stuck: Stuck) -> None:
    for result in client.predict_many(images()):
        assert result.label == "a"
        assert stuck.received.wait(WAIT_S)
        break


def close_client(client: Client, stuck: Stuck) -> None:
    results = client.predict_many(images())
    assert next(results).label == "a"
    assert stuck.received.wait(WAIT_S)
    client.close()


@pytest.mark.parametrize("end", [leave, close_client])
def test_client_ends_its_requests_when_the_loop_is_left(
    end: Callable[[Client, Stuck], None],
) -> None:
    with stuck_service() as stuck:
        client = Client(stuck.url, deadline_s=DEADLINE_S, concurrency=1)
        end(client, stuck)
        assert stuck.ended.wait(WAIT_S)
        client.close()


def test_async_client_ends_its_requests_when_the_loop_is_left() -> None:
    async def use(stuck: Stuck) -> None:
        async with AsyncClient(stuck.url, deadline_s=DEADLINE_S, concurrency=1) as client:
            async for result in client.predict_many(images()):
                assert result.label == "a"
                assert await asyncio.to_thread(stuck.received.wait, WAIT_S)
                break
            assert await asyncio.to_thread(stuck.ended.wait, WAIT_S)

    with stuck_service() as stuck:
        asyncio.run(use(stuck))


@pytest.mark.slow
@pytest.mark.parametrize("script", [SYNC, ASYNC], ids=["sync", "async"])
def test_client_does_not_delay_the_end_of_the_process(script: str) -> None:
    """The iterator is still open when the interpreter ends."""
    with stuck_service() as stuck:
        command = [sys.executable, "-c", script, stuck.url]
        done = subprocess.run(command, capture_output=True, text=True, timeout=WAIT_S, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "a\n", "")
