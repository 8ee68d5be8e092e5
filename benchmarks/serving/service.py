"""Our service, driven from outside as an operator would."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from benchmarks.serving.ports import free_port
from benchmarks.serving.processes import ServerProcess, wait_until
from benchmarks.serving.setting import Setting

ROOT = Path(__file__).parents[2]
READY_WITHIN_S = 60.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Service:
    """A service that is ready.

    Attributes:
        ready_s: Seconds from its start until it said so.
    """

    port: int
    process: ServerProcess
    ready_s: float


@contextmanager
def served(setting: Setting, *, bundle: Path | None = None) -> Iterator[Service]:
    """Serve a bundle with `python -m oodguard.service serve` until the end of the block.

    Args:
        setting: What is served, with how many threads.
        bundle: Another folder than that of the setting.

    Raises:
        RuntimeError: It did not become ready.
    """
    port = free_port()
    with ServerProcess(
        [
            *(sys.executable, "-m", "oodguard.service", "serve", "--port", str(port)),
            *("--bundle", str(bundle or setting.bundle)),
        ],
        environment={"OODGUARD_THREADS": str(setting.threads)},
        log=setting.scratch / f"ours-{port}.log",
        folder=ROOT,
    ) as process:
        ready_s = wait_until(lambda: is_ready(port), process, timeout_s=READY_WITHIN_S)
        yield Service(port=port, process=process, ready_s=ready_s)


def is_ready(port: int) -> bool:
    """Whether /readyz answers 200."""
    try:
        with urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5) as response:
            return bool(response.status == 200)
    except (URLError, ConnectionError, TimeoutError):
        return False
