"""The service under test, started and observed from outside, as an operator would."""

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from benchmarks.serving.config import Config
from benchmarks.serving.processes import ServerProcess, free_port, wait_until

ROOT = Path(__file__).parents[2]
READY_TIMEOUT_S = 60.0
POLL_S = 0.1


@dataclass(frozen=True, kw_only=True, slots=True)
class Service:
    """A service that is ready.

    Attributes:
        ready_s: Seconds from its start until `/readyz` returned 200.
    """

    port: int
    process: ServerProcess
    ready_s: float


@contextmanager
def served(
    config: Config, *, bundle: Path | None = None, workers: int | None = None
) -> Iterator[Service]:
    """Serve a bundle with `python -m oodguard.service serve` until the end of the block.

    Args:
        config: The bundle and the number of threads.
        bundle: A folder to serve instead of the configured one.
        workers: A number of worker processes instead of the configured one.

    Raises:
        RuntimeError: The service did not become ready.
    """
    port = free_port()
    with ServerProcess(
        [
            *(sys.executable, "-m", "oodguard.service", "serve", "--port", str(port)),
            *("--bundle", str(bundle or config.bundle)),
        ],
        environment={
            "OODGUARD_THREADS": str(config.threads),
            "OODGUARD_WORKERS": str(workers or config.workers),
        },
        log=config.scratch / f"ours-{port}.log",
        folder=ROOT,
    ) as process:
        ready_s = wait_until(lambda: is_ready(port), process, timeout_s=READY_TIMEOUT_S)
        yield Service(port=port, process=process, ready_s=ready_s)


def is_ready(port: int) -> bool:
    """Return whether `/readyz` returns 200."""
    try:
        with urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5) as response:
            return bool(response.status == 200)
    except (URLError, ConnectionError, TimeoutError):
        return False


@contextmanager
def balanced(port: int) -> Iterator[Callable[[], bool]]:
    """Poll `/readyz` during the block, as a load balancer does.

    Yields:
        A function that returns False once the service was not ready.
    """
    removed = threading.Event()

    def poll() -> None:
        while not removed.wait(POLL_S):
            if not is_ready(port):
                removed.set()

    thread = threading.Thread(target=poll)
    thread.start()
    try:
        yield lambda: not removed.is_set()
    finally:
        removed.set()
        thread.join()
