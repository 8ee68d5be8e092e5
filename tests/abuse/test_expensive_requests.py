"""Clients that request what takes long in the event loop do not exclude other clients."""

import asyncio
from pathlib import Path

import httpx2
import pytest

from tests.abuse.floods import get
from tests.e2e.conftest import RunningServer, counter, serving
from tests.service.pictures import encode, plain

CONNECTIONS = 200
PREDICTIONS = 10

# A prediction takes some ten turns of the event loop. With a request of each connection in each
# turn, it took 1,400 of them.
MAX_REQUESTS_PER_PREDICTION = 100


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_expensive_requests_do_not_exclude_other_clients(
    tiny_bundle: Path, tmp_path: Path, workers: int
) -> None:
    with serving(tiny_bundle, tmp_path / "log", {"OODGUARD_WORKERS": workers}) as server:
        answered = asyncio.run(_predict_during_flood(server))
    assert answered <= MAX_REQUESTS_PER_PREDICTION * PREDICTIONS


async def _predict_during_flood(server: RunningServer) -> float:
    """Return how many requests of a flood were answered during another client's predictions."""
    flood = [asyncio.create_task(_repeat(server.address)) for _ in range(CONNECTIONS)]
    picture = encode(plain())
    # Another address is another client.
    transport = httpx2.AsyncHTTPTransport(local_address="127.0.0.2")
    try:
        async with httpx2.AsyncClient(
            base_url=server.url, transport=transport, timeout=60
        ) as client:
            await client.get("/healthz")
            before = await asyncio.to_thread(_metrics_requests, server)
            for _ in range(PREDICTIONS):
                response = await client.post(
                    "/predict", content=picture, headers={"content-type": "image/png"}
                )
                assert response.status_code == 200
            after = await asyncio.to_thread(_metrics_requests, server)
    finally:
        for task in flood:
            task.cancel()
        await asyncio.wait(flood)
    return after - before


def _metrics_requests(server: RunningServer) -> float:
    return counter(server, "oodguard_requests_total", route="/metrics")


async def _repeat(address: tuple[str, int]) -> None:
    """Request the metrics on one connection without end, each after the one before."""
    reader, writer = await asyncio.open_connection(*address)
    try:
        while True:
            writer.write(get(b"/metrics"))
            head = await reader.readuntil(b"\r\n\r\n")
            _, _, rest = head.lower().partition(b"content-length: ")
            await reader.readexactly(int(rest.split(b"\r\n")[0]))
    finally:
        writer.close()
