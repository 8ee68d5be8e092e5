"""Processes that score parts: `python -m oodguard.service.scoring.worker PIPES`.

PIPES are two descriptors of each worker, for its requests and its replies. The first request is the
job, each further one the number of a part; a reply is a JSON object in a line. A worker ends when
its requests end, also if the process that started it was killed.
"""

import gc
import importlib.abc
import json
import os
import sys
import traceback
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, NoReturn, TextIO

from oodguard.models.errors import GuardError
from oodguard.service.scoring.output import ScoringOutput, write_shard
from oodguard.service.scoring.part_scorer import PartScorer, ScoringJob
from oodguard.service.scoring.shards import to_parquet
from oodguard.service.telemetry.logs import silence_decoders


def main(requests: TextIO, replies: TextIO) -> None:
    """Score the requested parts until the requests end."""
    silence_decoders()

    def reply(**fields: Any) -> None:  # noqa: ANN401 - JSON
        replies.write(json.dumps(fields) + "\n")
        replies.flush()

    first = requests.readline()
    if not first:  # there are fewer parts than workers
        return
    job = ScoringJob.model_validate_json(first)
    output = ScoringOutput(job.out, provisional=job.plan.fdr is not None)
    try:
        scorer = PartScorer(job)
        reply(ready=True, providers=scorer.providers)
        for line in requests:
            part = int(line)
            table = scorer.score(part, on_images=lambda images: reply(images=images))
            write_shard(output.scored(part), to_parquet(table))
            reply(part=part)
    except GuardError as error:
        reply(error=str(error))
    except OSError as error:
        if isinstance(error, BrokenPipeError):
            raise
        reply(error=f"{job.out} cannot be written: {error.strerror}")


def fork_workers(pipes: Sequence[int]) -> None:
    """Fork a worker for each two descriptors; write the number and status of each when it ends.

    This process has not imported ONNX Runtime, whose import starts a thread.
    """
    gc.collect()
    # A collection would write to all objects, and so copy their memory.
    gc.freeze()
    numbers: dict[int, int] = {}
    for number in range(len(pipes) // 2):
        pid = os.fork()
        if not pid:
            _run_worker(pipes, number)
        numbers[pid] = number
    for each in pipes:
        os.close(each)
    while numbers:
        pid, status = os.wait()
        line = json.dumps([numbers.pop(pid), os.waitstatus_to_exitcode(status)])
        # Not print: its buffer would be written again at the end of the process.
        with suppress(BrokenPipeError):  # the process that started it has ended
            os.write(sys.stdout.fileno(), f"{line}\n".encode())


def _run_worker(pipes: Sequence[int], number: int) -> NoReturn:
    """Run a worker in this forked process, and end it."""
    requests, replies = pipes[2 * number : 2 * number + 2]
    for each in pipes:
        if each not in {requests, replies}:
            os.close(each)
    status = 1
    try:
        with os.fdopen(requests, encoding="utf-8") as read, os.fdopen(replies, "w") as written:
            main(read, written)
        status = 0
    except BrokenPipeError:  # the process that started it has ended
        pass
    except Exception:  # noqa: BLE001 - as a process that is not forked
        traceback.print_exc()
    finally:
        # Not the clean-up of the process that was forked.
        os._exit(status)


class _WithoutPandas(importlib.abc.MetaPathFinder):
    """pyarrow imports pandas where it is installed: 0.2 s in each process, for nothing."""

    def find_spec(self, name: str, *_: object) -> None:
        if name == "pandas":
            raise ModuleNotFoundError(name=name)


if __name__ == "__main__":
    sys.meta_path.insert(0, _WithoutPandas())
    fork_workers([int(each) for each in sys.argv[1:]])
