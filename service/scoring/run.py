"""Score the missing parts of a run in worker processes."""

from collections.abc import Callable, Sequence

from oodguard.service.errors import ScoringError
from oodguard.service.scoring.part_scorer import CONTINUE, ScoringJob
from oodguard.service.scoring.work_shares import WorkShares
from oodguard.service.scoring.worker_pool import WorkerPool


def score_parts(
    job: ScoringJob,
    parts: Sequence[int],
    *,
    pool: WorkerPool,
    on_images: Callable[[int], None],
    on_ready: Callable[[Sequence[str]], None],
) -> None:
    """Score parts, and write a shard for each.

    Args:
        job: The run.
        parts: The missing parts.
        pool: The processes.
        on_images: Called with the number of images that were scored since its last call.
        on_ready: Called with the execution providers of the first worker that is ready.

    Raises:
        ScoringError: A worker failed.
    """
    if not len(parts):
        return
    working, is_first = min(pool.workers, len(parts)), True
    shares = WorkShares(parts, working)
    for worker in range(working):
        pool.send(worker, job.model_dump_json())
    while working:
        worker, reply = pool.messages.get()
        if reply is None:
            raise ScoringError(f"a worker process ended with {pool.status(worker)}. {CONTINUE}")
        if "error" in reply:
            raise ScoringError(str(reply["error"]))
        if "images" in reply:
            on_images(reply["images"])
            continue
        if "ready" in reply and is_first:
            on_ready(reply["providers"])
            is_first = False
        part = shares.next(worker)
        if part is None:
            working -= 1
        else:
            pool.send(worker, str(part))
