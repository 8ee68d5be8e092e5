"""The compared servers: all are started, and all are paused except the measured one."""

import sys
import urllib.request
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.serving.config import Config
from benchmarks.serving.graph import BUNDLE, PORT, THREADS
from benchmarks.serving.peers.registry import PEERS, interpreter
from benchmarks.serving.processes import ServerProcess, free_port, wait_until
from benchmarks.serving.requests import Request, encoded
from benchmarks.serving.service import ROOT, is_ready, served

OURS = "ours"
ONE_WORKER = "ours, one worker"
BASELINE = "baseline"
READY_TIMEOUT_S = 90.0


@dataclass(frozen=True, kw_only=True, slots=True)
class ComparedServer:
    """A server that is ready, and the request that it gets."""

    port: int
    process: ServerProcess
    request: Request


@contextmanager
def started(config: Config, image: bytes, kind: str) -> Iterator[dict[str, ComparedServer]]:
    """Start the service and every peer on the same bundle, each paused; stop them at the end.

    The service is started with all workers and with one. If there is a baseline, it is started with
    its bundle.

    Args:
        config: The bundle and the number of threads.
        image: The encoded image that every server gets.
        kind: Its format, png or jpeg.

    Raises:
        RuntimeError: A server did not become ready.
    """
    with ExitStack() as stack:
        servers: dict[str, ComparedServer] = {}
        contexts: dict[str, AbstractContextManager[ComparedServer]] = {
            OURS: _ours(config, image, kind),
            ONE_WORKER: _ours(config, image, kind, workers=1),
            **{name: _peer(config, name, image) for name in PEERS},
        }
        if config.baseline:
            contexts[BASELINE] = _baseline(config, config.baseline, image, kind)
        for name, context in contexts.items():
            config.log(f"starting {name}")
            server = stack.enter_context(context)
            server.process.pause()
            servers[name] = server
        yield servers


@contextmanager
def resumed(server: ComparedServer) -> Iterator[ComparedServer]:
    """Let one server run during the block."""
    server.process.resume()
    try:
        yield server
    finally:
        server.process.pause()


@contextmanager
def _ours(
    config: Config, image: bytes, kind: str, workers: int | None = None
) -> Iterator[ComparedServer]:
    with served(config, workers=workers) as service:
        yield ComparedServer(
            port=service.port, process=service.process, request=encoded(image, kind)
        )


@contextmanager
def _baseline(config: Config, checkout: Path, image: bytes, kind: str) -> Iterator[ComparedServer]:
    """Serve with the code of a checkout, by its own environment if it has one."""
    port = free_port()
    python = checkout / ".venv" / "bin" / "python"
    # The first commits have no package `oodguard`.
    module = "oodguard.service" if (checkout / "src").is_dir() else "service"
    command = [str(python) if python.exists() else sys.executable, "-m", module, "serve"]
    command += ["--port", str(port), "--bundle", str(config.baseline_bundle or config.bundle)]
    with ServerProcess(
        command,
        environment={
            "OODGUARD_THREADS": str(config.threads),
            "PYTHONPATH": f"{checkout / 'src'}:{checkout}",
        },
        log=config.scratch / f"baseline-{port}.log",
        folder=checkout,
    ) as process:
        wait_until(lambda: is_ready(port), process, timeout_s=READY_TIMEOUT_S)
        yield ComparedServer(port=port, process=process, request=encoded(image, kind))


@contextmanager
def _peer(config: Config, name: str, image: bytes) -> Iterator[ComparedServer]:
    peer, port = PEERS[name], free_port()
    python = interpreter(name, config.environments) if peer.own_environment else sys.executable
    folder = config.scratch / f"{name}-{port}"
    folder.mkdir()
    environment = {
        "PYTHONPATH": str(ROOT),
        BUNDLE: str(config.bundle),
        THREADS: str(config.threads),
        PORT: str(port),
        **peer.environment(port, folder),
    }
    command = [str(python), *peer.arguments(port)]
    log = folder / "output.log"
    with ServerProcess(command, environment=environment, log=log, folder=folder) as process:
        server = ComparedServer(port=port, process=process, request=peer.request(image))
        wait_until(lambda: _responds(server), process, timeout_s=READY_TIMEOUT_S)
        yield server


def _responds(server: ComparedServer) -> bool:
    """Return whether the response to the server's request is a 200."""
    url = f"http://127.0.0.1:{server.port}{server.request.path}"
    headers = {"Content-Type": server.request.content_type}
    request = urllib.request.Request(url, server.request.body, headers)
    try:
        with urllib.request.urlopen(request, timeout=5) as response:  # noqa: S310
            return bool(response.status == 200)
    except OSError:
        return False
