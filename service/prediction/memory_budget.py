"""The memory that the process takes at most, and its comparison with the limit."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from loky import cpu_count

from oodguard.models.manifest import InputSpec, Manifest
from oodguard.service.errors import MemoryLimitError
from oodguard.service.images.decode_memory import largest_decode_bytes, limit_png_texts
from oodguard.service.images.decode_steps import STEP_BYTES
from oodguard.service.memory import MemoryLimit, memory_limit, resident_bytes, shared_bytes
from oodguard.service.prediction.admission import MAX_UNREAD_BYTES
from oodguard.service.sampling.sampler import MAX_PENDING_BYTES as MAX_SAMPLE_BYTES
from oodguard.service.settings import Settings

if TYPE_CHECKING:
    from oodguard.service.inference.session import ModelSession

CONNECTIONS_BYTES = 64 * 2**20
"""Connections, headers, small responses, and memory that the allocator does not return."""

VALUE_BYTES = 24
"""A number in a response: 4 or 8 bytes, and at most 16 characters of JSON, or 24 if of 8 bytes."""

VERDICT_BYTES = 1024
"""The rest of the verdict on an image: Python objects and JSON."""

MEGABYTE = 10**6


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelMemory:
    """The memory of a model in addition to its idle memory.

    Attributes:
        spec: The size of its images.
        runs: Number of concurrent runs.
        run_bytes: Memory of one run of the largest batch, which the warm-up allocated once.
        load_bytes: Memory of the model without its runs.
        response_bytes: Memory of the largest response, for each of its images.
    """

    spec: InputSpec
    runs: int
    run_bytes: int
    load_bytes: int
    response_bytes: int


@dataclass(frozen=True, kw_only=True, slots=True)
class MemoryBudget:
    """The largest memory of each purpose, in bytes; all of them may be needed at a time.

    Attributes:
        idle: The process with its loaded models.
        bodies: Request bodies in flight, and their parsed copies.
        images: Decoded images in flight, of the model's size.
        runs: Concurrent runs of the models.
        small_decodes: Small images that are being decoded.
        large_decodes: Large images that are being decoded.
        samples: Bodies that wait to be sampled.
        responses: Responses that are built, and those that are not read.
        reload: A model that is loaded while the one that it replaces is still served.
        connections: Everything else, see `CONNECTIONS_BYTES`.
    """

    idle: int
    bodies: int
    images: int
    runs: int
    small_decodes: int
    large_decodes: int
    samples: int
    responses: int
    reload: int
    connections: int = CONNECTIONS_BYTES

    @property
    def total(self) -> int:
        """The sum in bytes."""
        return sum(asdict(self).values())

    def megabytes(self) -> dict[str, int]:
        """Return the parts and the total in units of 1,000,000 bytes, rounded up."""
        parts = {**asdict(self), "total": self.total}
        return {name: -(-size // MEGABYTE) for name, size in parts.items()}


def plan_memory(
    settings: Settings,
    sessions: Sequence["ModelSession"],
    *,
    workers: int = 1,
    supervisor_bytes: int = 0,
) -> MemoryBudget:
    """Return the budget of the service, whose models are loaded and warmed up in this process.

    Args:
        settings: The settings of this process.
        sessions: The sessions of the models.
        workers: The number of processes like this one.
        supervisor_bytes: The memory of the process that supervises them.

    Raises:
        MemoryLimitError: The budget exceeds the limit of the system.
    """
    limit_png_texts()
    budget = memory_budget(
        settings,
        idle=workers * (resident_bytes() - shared_bytes()) + shared_bytes() + supervisor_bytes,
        decode_threads=settings.decode_threads or cpu_count(),
        models=[
            ModelMemory(
                spec=each.spec,
                runs=each.runs,
                run_bytes=each.run_bytes,
                load_bytes=each.load_bytes,
                response_bytes=_response_bytes(each.manifest),
            )
            for each in sessions
        ],
        workers=workers,
    )
    limit = memory_limit()
    if limit is not None:
        check_memory(budget, limit, settings)
    return budget


def memory_budget(
    settings: Settings,
    *,
    idle: int,
    decode_threads: int,
    models: Sequence[ModelMemory],
    workers: int = 1,
) -> MemoryBudget:
    """Return the largest memory of each purpose.

    The workers share the limits on bodies, images, large images, samples and connections.

    Args:
        settings: The limits.
        idle: Resident memory with all models loaded and warmed up, in bytes.
        decode_threads: Number of threads of each worker that decode small images.
        models: The loaded models of each worker.
        workers: Number of worker processes.
    """
    image_bytes = [3 * each.spec.height * each.spec.width for each in models]
    # A parsed body is a copy of each image. JSON is also held as text while it is parsed.
    parsing = min(workers * decode_threads * settings.max_body_bytes, settings.max_pending_bytes)
    buffers = sum(
        (each.runs + 1) * settings.max_batch * size
        for each, size in zip(models, image_bytes, strict=True)
    )
    response_bytes = max(each.response_bytes for each in models)
    sampling = settings.sample_rate or settings.sample_accept_rate
    return MemoryBudget(
        idle=idle,
        bodies=2 * settings.max_pending_bytes + parsing,
        images=settings.max_pending_images * max(image_bytes),
        runs=workers * (buffers + sum((each.runs - 1) * each.run_bytes for each in models)),
        # The event loop decodes the smallest.
        small_decodes=workers * (decode_threads + 1) * STEP_BYTES,
        large_decodes=max(
            largest_decode_bytes(
                each.spec, max_pixels=settings.max_pixels, max_bytes=settings.max_body_bytes
            )
            for each in models
        ),
        samples=MAX_SAMPLE_BYTES + 2 * settings.max_body_bytes if sampling else 0,
        responses=settings.max_pending_images * response_bytes
        + max(MAX_UNREAD_BYTES, settings.max_images * response_bytes),
        reload=workers * max(each.load_bytes + each.run_bytes for each in models),
    )


def _response_bytes(manifest: Manifest) -> int:
    values = len(manifest.classes) + len(manifest.scores)
    # A label is an object or a JSON string, of at most 4 bytes a character.
    names = 4 * max(map(len, manifest.classes)) + sum(4 * len(each) for each in manifest.scores)
    return VERDICT_BYTES + VALUE_BYTES * values + names


def check_memory(budget: MemoryBudget, limit: MemoryLimit, settings: Settings) -> None:
    """Check that the largest memory is within the limit.

    Raises:
        MemoryLimitError: The largest memory exceeds the limit.
    """
    if budget.total <= limit.bytes:
        return
    size = budget.megabytes()
    raise MemoryLimitError(
        f"The settings need up to {size['total']} MB of memory, expected at most the"
        f" {limit.bytes // MEGABYTE} MB of {limit.source}: {size['idle']} MB for the idle process,"
        f" {size['bodies']} MB for bodies (OODGUARD_MAX_PENDING_BYTES is"
        f" {settings.max_pending_bytes}), {size['large_decodes']} MB for a large image"
        f" (OODGUARD_MAX_PIXELS is {settings.max_pixels}), {size['small_decodes']} MB for small"
        f" images (OODGUARD_DECODE_THREADS), {size['images']} MB for decoded images"
        f" (OODGUARD_MAX_PENDING_IMAGES is {settings.max_pending_images}), {size['runs']} MB for"
        f" batches (OODGUARD_THREADS, OODGUARD_MAX_BATCH is {settings.max_batch}),"
        f" {size['responses']} MB for responses, and"
        f" {size['samples'] + size['reload'] + size['connections']} MB for the rest."
        " Lower these settings or OODGUARD_WORKERS, or raise the limit."
    )
