"""Score parts of a run to tables: in a worker process of this machine, or of Ray."""

import socket
from collections.abc import Callable, Iterator
from itertools import islice

import pyarrow as pa

from oodguard.models.frozen_model import FrozenModel
from oodguard.service.errors import ScoringError
from oodguard.service.images.decode_memory import limit_png_texts
from oodguard.service.inference.providers import Device
from oodguard.service.scoring.picture_source import PictureSource, SentPath
from oodguard.service.scoring.plan import ScoringPlan
from oodguard.service.scoring.reader import Content, SourceReader
from oodguard.service.scoring.scorer import BATCH_SIZE, Scorer
from oodguard.service.scoring.shards import to_table, with_facts

CONTINUE = "Run the same command again to continue"


class ScoringJob(FrozenModel):
    """The facts that a worker needs to score parts."""

    plan: ScoringPlan
    source: PictureSource
    bundle: SentPath
    device: Device
    out: SentPath


class PartScorer:
    """Score parts of a run.

    Args:
        job: The run.

    Raises:
        GuardError: The bundle cannot be used, or is not the one of the run.
    """

    def __init__(self, job: ScoringJob) -> None:
        plan = job.plan
        limit_png_texts()
        self._plan = plan
        self._scorer = Scorer(
            job.bundle, plan.policy.policy, device=job.device, max_pixels=plan.max_pixels
        )
        if self._scorer.sha256 != plan.model.sha256:
            raise ScoringError(
                f"{job.bundle}: the sha256 of the bundle on the machine {socket.gethostname()} is"
                f" {self._scorer.sha256}, expected {plan.model.sha256}, that of the run: put this"
                f" bundle back. {CONTINUE}"
            )
        self._reader = SourceReader(job.source, plan.max_bytes)

    @property
    def providers(self) -> tuple[str, ...]:
        """The execution providers of ONNX Runtime that the graph runs on."""
        return self._scorer.providers

    def score(
        self,
        part: int,
        names: Iterator[str | None] | None = None,
        on_images: Callable[[int], None] = lambda _images: None,
    ) -> pa.Table:
        """Score a part, and return the table of its shard.

        Args:
            part: The number of the part.
            names: The names of its pictures that are not rows of Parquet files, in their order;
                None: they are read from the list of the source.
            on_images: Called with the number of images of each batch that was scored.

        Raises:
            GuardError: The source cannot be read.
        """
        plan = self._plan
        start, stop = plan.bounds(part)
        pictures = self._reader.read(start, stop, names)
        files: list[str] = []
        rows: list[int | None] = []

        def contents() -> Iterator[Content]:
            # One encoded picture at a time is in memory: it may have many megabytes.
            for file, row, content in islice(pictures, BATCH_SIZE):
                files.append(file)
                rows.append(row)
                yield content

        batches = []
        for first in range(start, stop, BATCH_SIZE):
            batches.append(self._scorer.score(contents(), plan.fdr))
            on_images(min(BATCH_SIZE, stop - first))
        table = to_table(files, rows, batches, self._scorer.manifest.scores)
        return with_facts(table, plan, part)
