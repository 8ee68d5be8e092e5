"""Services for a browser: the shipped models, with any settings, in processes of their own."""

import contextlib
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.serving.processes import free_port
from tests.e2e.conftest import TIMEOUT_S, environment, is_ready, wait_until

ROOT = Path(__file__).resolve().parents[2]
IMAGES = ROOT / "tests" / "data"
SHIP = IMAGES / "cifar10" / "ship" / "00588.png"
TEXTURE = IMAGES / "textures" / "00057.png"

STANDARD = "cifar10-standard"
ALOE = "cifar10-aloe"


@dataclass(frozen=True, kw_only=True, slots=True)
class Service:
    """A process that serves the playground on the loopback interface."""

    process: subprocess.Popen[bytes]
    url: str

    def reload(self) -> None:
        """Send SIGHUP: the service reads the bundles and the policy again."""
        self.process.send_signal(signal.SIGHUP)

    def begin_shutdown(self) -> None:
        """Send SIGTERM, and do not wait."""
        self.process.send_signal(signal.SIGTERM)

    def stop(self) -> None:
        """Return when the process has exited."""
        self.begin_shutdown()
        self.process.wait(TIMEOUT_S)


def link_models(folder: Path) -> Path:
    """Return a new folder with the hardened and the plain model."""
    models = folder / "models"
    models.mkdir(parents=True)
    for name in (ALOE, STANDARD):
        (models / name).symlink_to(ROOT / "models" / "pretrained" / name)
    return models


@contextlib.contextmanager
def serving(folder: Path, **settings: object) -> Iterator[Service]:
    """Serve during the block, which starts when the service is ready.

    Args:
        folder: An empty folder, for the models and the log.
        **settings: Settings by their name in lower case, such as `max_pixels=100`. By default the
            port is a free one.
    """
    port = settings.get("port", free_port())
    chosen = {"workers": 1, "port": port, "log_level": "warning", **settings}
    if "bundle" not in chosen:
        chosen = {"models": link_models(folder), "default_model": ALOE, **chosen}
    variables = {f"OODGUARD_{name.upper()}": str(value) for name, value in chosen.items()}
    log = folder / "log"
    with (
        log.open("wb") as stderr,
        subprocess.Popen(
            [sys.executable, "-m", "oodguard.service", "serve"],
            stderr=stderr,
            env={**environment(), **variables},
        ) as process,
    ):
        service = Service(process=process, url=f"http://127.0.0.1:{port}")

        def ready() -> bool:
            assert process.poll() is None, log.read_text()
            return is_ready(service.url)

        try:
            wait_until(ready)
            yield service
        finally:
            process.kill()
