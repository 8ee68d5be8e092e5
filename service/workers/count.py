"""The number of worker processes, and the settings of one of them."""

import importlib.util
import sys
from pathlib import Path

from loky import cpu_count

from oodguard.service.memory import MemoryLimit, memory_limit
from oodguard.service.settings import Settings

# Memory of a worker with the default settings, and of the rest of the service.
WORKER_BYTES = 512 * 2**20

SERVICE_BYTES = 1024 * 2**20

CUDA_LIBRARY = "libonnxruntime_providers_cuda.so"


def worker_count(settings: Settings, *, threads: int = 1) -> int:
    """Return the number of worker processes: the setting, or one for each CPU.

    With `auto` it is 1 for a device other than the CPU and on systems other than Linux. It is less
    if a run uses several threads, OODGUARD_THREADS allows fewer, or the memory does not suffice.

    Args:
        settings: The settings.
        threads: The number of threads of this process. With several it cannot fork workers.
    """
    if settings.workers != "auto":
        return settings.workers
    if threads > 1 or sys.platform != "linux":
        return 1
    if settings.device != "cpu" and (settings.device != "auto" or runtime_has_cuda()):
        return 1
    cpus = settings.threads or cpu_count()
    return max(1, min(cpus // settings.threads_per_run, workers_in_memory(memory_limit())))


def workers_in_memory(limit: MemoryLimit | None) -> int:
    """Return how many workers the memory suffices for."""
    if limit is None:
        return 1
    return 1 + max(0, limit.bytes - SERVICE_BYTES) // WORKER_BYTES


def runtime_has_cuda() -> bool:
    """Return whether ONNX Runtime was built for CUDA, without importing it."""
    found = importlib.util.find_spec("onnxruntime")
    if found is None or found.origin is None:
        return False
    return (Path(found.origin).parent / "capi" / CUDA_LIBRARY).exists()


def settings_of_worker(settings: Settings, workers: int) -> Settings:
    """Return the settings of one worker, which has its part of the CPUs."""
    threads = settings.threads or cpu_count()
    decode_threads = settings.decode_threads or cpu_count()
    return settings.model_copy(
        update={
            "threads": max(settings.threads_per_run, threads // workers),
            "decode_threads": max(1, decode_threads // workers),
        }
    )
