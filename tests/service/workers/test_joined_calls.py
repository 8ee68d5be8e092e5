"""One run of a function for all callers that wait for it."""

import asyncio
import gc
import weakref

import pytest

from oodguard.service.workers.joined_calls import JoinedCalls

pytestmark = pytest.mark.anyio


class Work:
    """A function that returns its number of calls when it is allowed to."""

    def __init__(self) -> None:
        self.calls = 0
        self.may_end = asyncio.Event()

    async def __call__(self) -> int:
        self.calls += 1
        number = self.calls
        await self.may_end.wait()
        return number


async def test_joined_calls_during_a_run_share_the_next_one() -> None:
    work = Work()
    joined = JoinedCalls(work)
    first = [asyncio.ensure_future(joined()) for _ in range(3)]
    while not work.calls:
        await asyncio.sleep(0)
    later = [asyncio.ensure_future(joined()) for _ in range(3)]
    await asyncio.sleep(0)
    assert work.calls == 1
    later[0].cancel()
    work.may_end.set()
    assert await asyncio.gather(*first) == [1, 1, 1]
    assert await asyncio.gather(*later[1:]) == [2, 2]
    assert await joined() == 3


async def test_joined_calls_raise_the_error_of_their_run_only() -> None:
    errors = [ValueError("once")]

    async def work() -> str:
        if errors:
            raise errors.pop()
        return "done"

    joined = JoinedCalls(work)
    results = await asyncio.gather(joined(), joined(), return_exceptions=True)
    assert [str(each) for each in results] == ["once", "once"]
    assert await joined() == "done"


class BrokenError(Exception):
    """An error to which references may be weak."""


async def test_joined_calls_keep_only_the_error_of_the_last_run() -> None:
    errors: list[weakref.ref[BrokenError]] = []

    async def fail() -> None:
        error = BrokenError()
        errors.append(weakref.ref(error))
        raise error

    joined = JoinedCalls(fail)
    for _ in range(5):
        with pytest.raises(BrokenError):
            await joined()
    gc.collect()
    assert [each() is None for each in errors] == [True, True, True, True, False]
