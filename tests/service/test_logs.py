"""Lines are written once a turn of the event loop, and at once where that could be too late."""

import asyncio
import io
import json
import logging
import sys
from collections.abc import Iterator

import pytest

from oodguard.service.telemetry import logs


class Stream(io.StringIO):
    """Keeps what each call wrote."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[str] = []

    def write(self, text: str) -> int:
        self.calls.append(text)
        return super().write(text)

    def messages(self) -> list[list[str]]:
        return [[json.loads(line)["message"] for line in each.splitlines()] for each in self.calls]


@pytest.fixture
def stream(monkeypatch: pytest.MonkeyPatch) -> Stream:
    stream = Stream()
    monkeypatch.setattr(sys, "stderr", stream)
    return stream


@pytest.fixture
def logger(stream: Stream) -> Iterator[logging.Logger]:
    flags = logging.logThreads, logging.logProcesses, logging.logMultiprocessing
    logs.configure("info")
    assert stream.calls == []
    yield logging.getLogger("tests.logs")
    logging.logThreads, logging.logProcesses, logging.logMultiprocessing = flags


def test_the_lines_of_a_turn_are_written_together(logger: logging.Logger, stream: Stream) -> None:
    async def scene() -> None:
        for turn in "ab":
            logger.info("%s1", turn)
            logger.info("%s2", turn)
            assert turn not in stream.getvalue()
            await asyncio.sleep(0)

    asyncio.run(scene())
    assert stream.messages() == [["a1", "a2"], ["b1", "b2"]]


def test_a_warning_is_written_at_once_behind_what_came_before(
    logger: logging.Logger, stream: Stream
) -> None:
    async def scene() -> None:
        logger.info("one")
        logger.warning("two")
        assert stream.messages() == [["one", "two"]]
        logger.info("three")

    asyncio.run(scene())
    assert stream.messages() == [["one", "two"], ["three"]]


def test_outside_of_the_loop_lines_are_written_at_once(
    logger: logging.Logger, stream: Stream
) -> None:
    async def scene() -> None:
        logger.info("in the loop")
        await asyncio.to_thread(logger.info, "in a thread")

    logger.info("before")
    assert stream.messages() == [["before"]]
    asyncio.run(scene())
    logger.info("after")
    written = [message for each in stream.messages() for message in each]
    assert written == ["before", "in the loop", "in a thread", "after"]


def test_what_a_loop_leaves_behind_is_written_with_the_next_line_or_at_the_end(
    logger: logging.Logger, stream: Stream
) -> None:
    def log_and_stop(loop: asyncio.AbstractEventLoop, message: str) -> None:
        logger.info(message)
        loop.stop()

    def stopped_early(message: str) -> None:
        loop = asyncio.new_event_loop()
        loop.call_soon(log_and_stop, loop, message)
        loop.run_forever()
        loop.close()

    async def scene() -> None:
        logger.info("two")

    stopped_early("one")
    assert stream.calls == []
    asyncio.run(scene())
    assert stream.messages() == [["one", "two"]]
    stopped_early("three")
    logging.getLogger().handlers[0].flush()
    assert stream.messages() == [["one", "two"], ["three"]]


def test_a_stream_that_nobody_reads_any_more_stops_nobody(
    logger: logging.Logger, stream: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_text: str) -> int:
        raise BrokenPipeError

    monkeypatch.setattr(stream, "write", broken)
    logger.warning("lost")
    monkeypatch.undo()
    logger.warning("%s not", "lost")
    assert stream.messages() == [["lost not"]]
