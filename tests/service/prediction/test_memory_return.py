"""Memory is returned to the system after large bodies were released, and not after each."""

import asyncio
import threading

import pytest

from oodguard.service.prediction import memory_return
from oodguard.service.prediction.admission import Admission, Claim
from oodguard.service.prediction.memory_return import RETURN_BYTES, MemoryReturn


def test_memory_is_returned_once_after_many_bytes_were_released(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    returned = threading.Semaphore(0)
    monkeypatch.setattr(memory_return, "return_free_memory", returned.release)
    monkeypatch.setattr(memory_return, "DELAY_S", 0)

    async def release(*sizes: int) -> None:
        admission = Admission(max_requests=9, max_bytes=2 * RETURN_BYTES, max_images=9)
        admission.on_released = MemoryReturn().released
        for size in sizes:
            with Claim(admission, "a") as claim:
                claim.add("bytes", size)
        # The timer, if it was started, is due before this one.
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        await asyncio.get_running_loop().shutdown_default_executor()

    asyncio.run(release(RETURN_BYTES // 2, RETURN_BYTES // 2 - 1))
    assert not returned.acquire(blocking=False)
    asyncio.run(release(*[RETURN_BYTES // 2] * 4))
    assert returned.acquire(blocking=False)
    assert not returned.acquire(blocking=False)
