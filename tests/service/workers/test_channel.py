"""Messages between the supervisor and a worker."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from oodguard.models.errors import GuardError
from oodguard.service.errors import UnknownModel
from oodguard.service.workers.channel import Channel, ChannelClosed, Handler, Message

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def connected(**handlers: Handler) -> AsyncIterator[tuple[Channel, Channel]]:
    """Two ends; the second one has the handlers."""
    ours, its = socket.socketpair()
    ends = Channel(ours, {}), Channel(its, handlers)
    tasks = [asyncio.create_task(each.serve()) for each in ends]
    await asyncio.sleep(0)
    try:
        yield ends
    finally:
        for each in tasks:
            each.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def test_channel_call_returns_the_answer_of_the_handler() -> None:
    async def later(message: Message) -> dict[str, Any]:
        return {"twice": 2 * message.fields["number"], "answers": "not this"}

    def at_once(message: Message) -> Message:
        return Message({"text": "yes"}, message.payload[::-1])

    async with connected(later=later, at_once=at_once) as (ours, _):
        first, second = await asyncio.gather(
            ours.call("later", number=4), ours.call("at_once", b"ab")
        )
    assert first.fields["twice"] == 8
    assert (second.fields["text"], second.payload) == ("yes", b"ba")


async def test_channel_call_raises_the_error_of_the_handler() -> None:
    def unknown(_: Message) -> None:
        raise UnknownModel("no such model")

    async def other(_: Message) -> None:
        raise ChannelClosed("of the far end")

    async with connected(unknown=unknown, other=other) as (ours, _):
        with pytest.raises(UnknownModel, match="no such model"):
            await ours.call("unknown")
        with pytest.raises(GuardError, match="of the far end"):
            await ours.call("other")


async def test_channel_survives_a_handler_with_a_defect(caplog: pytest.LogCaptureFixture) -> None:
    def defect(_: Message) -> None:
        raise KeyError("x")

    async with connected(defect=defect, sync=lambda _: None) as (ours, _):
        with pytest.raises(GuardError, match="unexpected error between processes: KeyError"):
            await ours.call("defect")
        await ours.call("sync")
    assert "A message between processes was not handled." in caplog.text


async def test_channel_handles_notices_in_order() -> None:
    seen: list[int] = []
    async with connected(
        seen=lambda message: seen.append(message.fields["number"]), sync=lambda _: None
    ) as (ours, _):
        for number in range(5):
            ours.notify("seen", number=number)
        await ours.call("sync")
    assert seen == [0, 1, 2, 3, 4]


async def test_channel_call_fails_when_the_other_end_closes() -> None:

    ours, its = socket.socketpair()
    channel = Channel(ours, {})
    task = asyncio.create_task(channel.serve())
    call = asyncio.create_task(channel.call("never"))
    await asyncio.sleep(0)
    its.close()
    with pytest.raises(ChannelClosed):
        await call
    await task
    with pytest.raises(ChannelClosed):
        await channel.call("never")


async def test_channel_sends_what_was_sent_before_it_was_served() -> None:
    ours, its = socket.socketpair()
    sender = Channel(ours, {})
    sender.notify("first", number=1)
    sender.send_before_the_end("second", number=2)
    ours.close()
    seen: list[int] = []

    def note(message: Message) -> None:
        seen.append(message.fields["number"])

    await Channel(its, {"first": note, "second": note}).serve()
    assert seen == [1, 2]
