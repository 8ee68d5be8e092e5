"""Score the missing parts of a run on Ray Data: on this machine, or on those of a cluster.

Workers receive the names of pictures and return finished shards, which the command writes: the
machines share no folder but those of the bundle and of a source that is not a bucket.
"""

import json
import logging
import os
import socket
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pyarrow as pa

from oodguard.models.errors import GuardError, install_hint
from oodguard.service.errors import ScoringError
from oodguard.service.inference.providers import Device
from oodguard.service.scoring.output import ScoringOutput, write_shard
from oodguard.service.scoring.part_scorer import CONTINUE, PartScorer, ScoringJob
from oodguard.service.scoring.shards import to_parquet
from oodguard.service.telemetry.logs import silence_decoders

LOCAL: Final = "local"
"""The address of a Ray that is started on this machine, and ends with the run."""

MAX_PARTS_OF_TASK: Final = 16
"""Consecutive parts of one task: a worker that reads on does not search its place in a table."""

TASKS_PER_WORKER: Final = 8
"""The least number of tasks of a worker, so that all workers are busy until the end."""

OBJECT_STORE_BYTES: Final = 256 * 2**20
"""Of a local Ray. Names and shards are small."""

CONNECT_TIMEOUT_S: Final = 10.0

# The errors in the log of Ray are about its internals. On a busy machine it starts in more than the
# 30 s that it waits by default. It sends statistics to its vendor unless that is switched off.
ENVIRONMENT: Final = {
    "RAY_BACKEND_LOG_LEVEL": "fatal",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_raylet_start_wait_time_s": "180",
}


def prepare_ray(address: str, device: Device) -> None:
    """Set the variables of Ray, and check what a run needs, before its source is listed.

    Raises:
        ScoringError: Ray is not installed or not reachable, or the device is no CPU.
    """
    if device not in {"cpu", "auto"}:
        raise ScoringError(
            f"OODGUARD_DEVICE is {device}, expected cpu or auto with --ray: the workers of Ray use"
            " one CPU each"
        )
    _check_address(address)
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    try:
        import ray  # noqa: PLC0415 - an extra
        import ray.data  # noqa: F401, PLC0415
    except ModuleNotFoundError as error:
        raise ScoringError(f"{error.name} is not installed. {install_hint('ray')}") from error


def score_parts_on_ray(
    job: ScoringJob,
    parts: Sequence[int],
    *,
    address: str,
    workers: int | None,
    on_images: Callable[[int], None],
) -> None:
    """Score parts, and write a shard for each.

    Args:
        job: The run.
        parts: The missing parts, ascending.
        address: `local`, `auto`, or `HOST:PORT` of the cluster that this machine belongs to.
        workers: The number of workers; None: one on each CPU.
        on_images: Called with the number of images that were scored since its last call.

    Raises:
        ScoringError: Ray does not start, or a worker failed.
        OSError: A shard cannot be written.
    """
    if not len(parts):
        return
    plan = job.plan
    output = ScoringOutput(job.out, provisional=plan.fdr is not None)
    job = job.model_copy(update={"bundle": job.bundle.resolve(), "device": "cpu"})
    with _connected(address, workers) as ray:
        count = workers or max(1, int(ray.cluster_resources().get("CPU", 1)))
        tasks = [task(job, parts[low:high]) for low, high in consecutive(len(parts), count)]
        shards = ray.data.from_arrow(tasks).map_batches(
            RayWorker,
            fn_constructor_args=(job.model_dump_json(), Path.cwd(), sizes_of(job)),
            batch_size=None,
            batch_format="pyarrow",
            num_cpus=1,
            compute=ray.data.ActorPoolStrategy(size=min(count, len(tasks))),
        )
        try:
            for block in shards.iter_batches(
                batch_size=None, batch_format="pyarrow", prefetch_batches=0
            ):
                for row in block.to_pylist():
                    if row["error"] is not None:
                        raise ScoringError(row["error"])
                    write_shard(output.scored(row["part"]), row["shard"])
                    start, stop = plan.bounds(row["part"])
                    on_images(stop - start)
        except ray.exceptions.RayError as error:
            raise ScoringError(f"a Ray worker failed: {_last_line(error)}. {CONTINUE}") from error


def consecutive(parts: int, workers: int) -> list[tuple[int, int]]:
    """Divide parts into the consecutive ranges of tasks."""
    size = max(1, min(MAX_PARTS_OF_TASK, parts // (TASKS_PER_WORKER * workers)))
    return [(low, min(low + size, parts)) for low in range(0, parts, size)]


def task(job: ScoringJob, parts: Sequence[int]) -> pa.Table:
    """Return the parts of one task, and the names of their pictures."""
    names = [list(job.source.names_between(*job.plan.bounds(part))) for part in parts]
    return pa.table({"part": [parts], "names": [zlib.compress(json.dumps(names).encode(), 1)]})


def sizes_of(job: ScoringJob) -> dict[str, int]:
    """Return the sizes in bytes of some files of the source: one of each segment."""
    sizes: dict[str, int] = {}
    for start, each in zip(job.source.starts, job.source.segments, strict=False):
        if each.bucket is None and each.rows:
            path = each.table or next(job.source.names_between(start, start + 1))
            if path is not None and Path(path).is_file():
                sizes[path] = Path(path).stat().st_size
    return sizes


class RayWorker:
    """Score tasks in a worker of Ray Data; a fault is a row, as Ray repeats a task that raises.

    Args:
        job: The run as JSON.
        folder: The folder that relative paths of the source start from.
        sizes: The sizes in bytes of files of the source, to check that this machine has them.
    """

    def __init__(self, job: str, folder: Path, sizes: dict[str, int]) -> None:
        self._job = job
        self._folder = folder
        self._sizes = sizes
        self._scorer: PartScorer | None = None

    def __call__(self, batch: pa.Table) -> Iterator[dict[str, list[Any]]]:
        """Yield the numbers and the shards of the parts."""
        try:
            if self._scorer is None:
                silence_decoders()
                enter(self._folder, self._sizes)
                self._scorer = PartScorer(ScoringJob.model_validate_json(self._job))
            for task in batch.to_pylist():
                names = json.loads(zlib.decompress(task["names"]))
                for part, own in zip(task["part"], names, strict=True):
                    shard = to_parquet(self._scorer.score(part, iter(own)))
                    yield {"part": [part], "shard": [shard], "error": [None]}
        except GuardError as error:
            yield {"part": [-1], "shard": [b""], "error": [str(error)]}


def enter(folder: Path, sizes: dict[str, int]) -> None:
    """Enter the folder of relative paths, and check that this machine has the files of the source.

    Raises:
        ScoringError: A file is missing, or has another size.
    """
    if folder.is_dir():
        os.chdir(folder)
    for path, size in sizes.items():
        found = Path(path).stat().st_size if Path(path).is_file() else None
        if found != size:
            raise ScoringError(
                f"{folder / path} on the machine {socket.gethostname()}"
                f" {'is missing' if found is None else f'has {found:,} bytes'}, expected"
                f" {size:,} bytes: put the source into a bucket, or into a folder that all machines"
                " share"
            )


@contextmanager
def _connected(address: str, workers: int | None) -> Iterator[Any]:
    """Connect to Ray, or start it, and leave it with the context."""
    import ray  # noqa: PLC0415 - an extra, see `prepare_ray`
    import ray.data  # noqa: PLC0415

    options: dict[str, Any] = {}
    if address == LOCAL:
        options = {
            "num_cpus": workers,
            "include_dashboard": False,
            "object_store_memory": OBJECT_STORE_BYTES,
        }
    try:
        ray.init(address, log_to_driver=False, logging_level=logging.CRITICAL, **options)
    except Exception as error:
        raise ScoringError(
            f"--ray is {address}, expected local, or auto or HOST:PORT for a Ray cluster that this"
            f" machine belongs to: {_last_line(error)}"
        ) from error
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    # Ray sends rows on when a block has this size: each part at once.
    context.target_max_block_size = 1
    try:
        yield ray
    finally:
        ray.shutdown()


def _check_address(address: str) -> None:
    """Check the form of an address, and that it answers: Ray itself waits for over a minute."""
    if address in {LOCAL, "auto"}:
        return
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or "/" in host:
        raise ScoringError(
            f"--ray is {address}, expected local, or auto or HOST:PORT for a Ray cluster that this"
            " machine belongs to"
        )
    try:
        socket.create_connection((host.strip("[]"), int(port)), CONNECT_TIMEOUT_S).close()
    except (OSError, OverflowError) as error:
        raise ScoringError(
            f"--ray is {address}, which does not answer: {error}. Expected the address that ray"
            " start --head has printed"
        ) from error


def _last_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[-1] if lines else type(error).__name__
