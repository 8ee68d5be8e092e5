"""Kill workers whose event loop does not answer: probes from outside reach the other workers."""

import asyncio
import logging
import signal
from collections.abc import Callable, Collection

from oodguard.models.errors import GuardError
from oodguard.service.workers.worker_process import Worker

logger = logging.getLogger("oodguard.server")

# A worker that does not answer twice in a row is killed, and replaced. Twice, because the first
# time-out may have run while the whole service was paused.
PING_INTERVAL_S = 10.0
PING_TIMEOUT_S = 15.0


async def ping_all(workers: Callable[[], Collection[Worker]]) -> None:
    """Ping all workers that have been ready, without end."""
    while True:
        await asyncio.sleep(PING_INTERVAL_S)
        await asyncio.gather(*(_ping(each) for each in workers() if each.fingerprint))


async def _ping(worker: Worker) -> None:
    for _ in range(2):
        try:
            await asyncio.wait_for(worker.channel.call("ping"), PING_TIMEOUT_S)
        except TimeoutError:
            continue
        except GuardError:
            pass
        return
    logger.error(
        "A worker process does not answer and is killed.",
        extra={"fields": {"worker": worker.number, "pid": worker.pid}},
    )
    worker.send_signal(signal.SIGKILL)
