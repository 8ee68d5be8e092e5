"""The asynchronous client against the real application, in one event loop."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest

from oodguard.client import (
    AsyncClient,
    InvalidImageError,
    ResponseTimeoutError,
    ServiceUnreachableError,
    UndecodableImageError,
    UnknownModelError,
)
from oodguard.service.app import create_app
from oodguard.service.settings import Settings
from tests.client.conftest import URL
from tests.service.pictures import BLUE, GREEN, RED, encode, plain

PIXELS = np.stack([np.full((8, 8, 3), colour, np.uint8) for colour in (RED, GREEN, BLUE)])

Use = Callable[[AsyncClient], Awaitable[None]]


@pytest.fixture
def serve(bundle_folder: Path) -> Callable[[Use], None]:
    """Call a function with a client of an application that is started in its event loop."""

    async def started(use: Use) -> None:
        app = create_app(Settings(bundle=bundle_folder))
        async with (
            app.router.lifespan_context(app),
            AsyncClient(URL, transport=httpx2.ASGITransport(app)) as client,
        ):
            await use(client)

    return lambda use: asyncio.run(started(use))


def test_async_client_predicts_as_the_client(serve: Callable[[Use], None], tmp_path: Path) -> None:
    async def use(client: AsyncClient) -> None:
        assert await client.ready()
        assert await client.healthy()
        assert (await client.models()).default == "tiny"
        result = await client.predict(encode(plain(GREEN)), request_id="mine")
        assert (result.label, result.request_id, result.accepted) == ("green", "mine", True)
        found = [each async for each in client.predict_many([*PIXELS] * 50)]
        assert [each.label for each in found] == ["red", "green", "blue"] * 50
        assert [each.index for each in found] == [*range(150)]
        together = await client.predict_together(PIXELS, fdr=0.9)
        assert [each.policy.fdr for each in together] == [0.9] * 3
        with pytest.raises(UnknownModelError):
            await client.predict(PIXELS[0], model="other")
        with pytest.raises(UndecodableImageError, match=r"images\[1\]: the 1 bytes"):
            [each async for each in client.predict_many([encode(plain()), b"x"])]
        skipped: list[InvalidImageError] = []
        mixed: list[Any] = [b"x", tmp_path / "missing", PIXELS[0], b"y"]
        rest = [each async for each in client.predict_many(mixed, on_invalid=skipped.append)]
        assert [each.index for each in rest] == [2]
        assert [each.index for each in skipped] == [0, 1, 3]

    serve(use)


def test_async_client_reads_an_endless_iterator_as_results_are_taken(
    serve: Callable[[Use], None],
) -> None:
    drawn = 0

    async def endless() -> AsyncIterator[Any]:
        nonlocal drawn
        while True:
            drawn += 1
            yield PIXELS[0]

    async def use(client: AsyncClient) -> None:
        async with aclosing(client.predict_many(endless())) as results:  # type: ignore[type-var]
            assert (await anext(results)).label == "red"
        assert drawn <= 64 * (2 * 4 + 1)
        others = asyncio.all_tasks() - {asyncio.current_task()}
        assert not [each for each in others if "predict" in repr(each.get_coro())]

    serve(use)


def test_async_client_ends_at_its_deadline() -> None:
    async def stuck(_: httpx2.Request) -> httpx2.Response:
        await asyncio.Event().wait()
        raise AssertionError

    async def use() -> None:
        transport = httpx2.MockTransport(stuck)
        async with AsyncClient(URL, transport=transport, deadline_s=0.05) as client:
            with pytest.raises(ResponseTimeoutError, match=r"no response within 0\.05 s"):
                await client.predict(b"image")
            assert not await client.ready()

    asyncio.run(use())


def test_async_client_states_the_last_failure_when_retries_end() -> None:
    def refuse(_: httpx2.Request) -> httpx2.Response:
        raise httpx2.ConnectError("Connection refused")

    async def use() -> None:
        client = AsyncClient(URL, transport=httpx2.MockTransport(refuse), deadline_s=0.3)
        with pytest.raises(ServiceUnreachableError, match=r", after \d+ attempts$") as raised:
            await client.predict(b"image")
        assert raised.value.__context__ is None

    asyncio.run(use())


def test_async_client_names_the_use_in_a_second_event_loop() -> None:
    """Its pooled connections would fail with "Event loop is closed", every second time."""

    def answer(_: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, json={"status": "ready"})

    client = AsyncClient(URL, transport=httpx2.MockTransport(answer))
    assert asyncio.run(client.ready())
    for use in (client.ready, client.aclose):
        with pytest.raises(RuntimeError, match="another event loop than before"):
            asyncio.run(use())
