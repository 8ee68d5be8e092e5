"""Run the service: in this process, or in worker processes that this one supervises."""

import importlib.util
import logging
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from oodguard.models.errors import GuardError
from oodguard.service.app import create_app
from oodguard.service.errors import MemoryLimitError
from oodguard.service.memory import resident_bytes
from oodguard.service.readiness import Readiness
from oodguard.service.server.early_load_shedding import http_protocol_class
from oodguard.service.server.garbage_collector import tune_garbage_collector
from oodguard.service.server.graceful_shutdown import DrainLog, GracefulServer
from oodguard.service.server.unread_responses import limit_unread_responses
from oodguard.service.settings import Settings
from oodguard.service.start_summary import log_start
from oodguard.service.telemetry.logs import keep_lines_whole
from oodguard.service.worker import SWITCH_INTERVAL_S, WorkerRunner, server_config
from oodguard.service.workers.count import worker_count
from oodguard.service.workers.link import SharedMemory
from oodguard.service.workers.supervisor import supervise
from oodguard.service.workers.worker_process import longest_end_s
from oodguard.service.workers.zygote import start_zygote, thread_count

logger = logging.getLogger("oodguard.server")

BACKLOG = 2048


class ListenError(GuardError):
    """The configured address cannot be bound."""


def serve_app(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT.

    Raises:
        GuardError: The application cannot be created (see `create_app`); no port was opened.
        ListenError: The port is in use, or the address is not an address of this machine.
    """
    workers = worker_count(settings, threads=thread_count())
    while workers > 1:
        try:
            _serve_with_workers(settings, workers)
        except MemoryLimitError as error:
            if settings.workers != "auto":
                raise
            logger.warning(
                "The memory does not suffice for the worker processes: fewer are started.",
                extra={"fields": {"workers": workers, "error": str(error)}},
            )
            workers = workers // 2 if thread_count() == 1 else 1
        else:
            return
    _serve_alone(settings)


def _serve_alone(settings: Settings) -> None:
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    readiness = Readiness()
    app = create_app(settings, readiness)
    tune_garbage_collector()
    server = GracefulServer(
        server_config(
            settings,
            app,
            http_protocol_class(app.state.load_shedding, admission=app.state.admission),
        ),
        readiness,
        app.state.process.reload_all,
        drain_s=settings.drain_s,
        drain_log=lambda server: DrainLog(
            settings=settings,
            requests=lambda: app.state.admission.requests,
            connections=lambda: len(server.server_state.connections),
        ),
    )
    listener = _listener(settings)
    _listen(listener, settings)
    log_start(_address(listener), app.state.summary)
    server.run(sockets=[listener])


def _serve_with_workers(settings: Settings, workers: int) -> None:
    if importlib.util.find_spec("onnxruntime") is None:
        raise ModuleNotFoundError("No module named 'onnxruntime'", name="onnxruntime")
    _import_for_workers()
    keep_lines_whole()
    shared = SharedMemory.create(workers)
    runner = WorkerRunner(settings=settings, shared=shared, supervisor_bytes=resident_bytes())
    zygote = start_zygote(runner.run, end_s=longest_end_s(settings))
    # The workers get the socket at their start. It is bound when all of them are ready.
    listener = _listener(settings)
    listener.setblocking(False)

    def open_port(summary: dict[str, object]) -> None:
        _listen(listener, settings)
        log_start(_address(listener), summary)

    supervise(settings, shared, zygote, listener, open_port)


def _import_for_workers() -> None:
    """Import what an application imports later, so that the workers share its memory."""
    for name in (
        "httptools",
        "PIL.JpegImagePlugin",
        "PIL.PngImagePlugin",
        "PIL.WebPImagePlugin",
        "uvicorn.lifespan.on",
        "uvicorn.protocols.http.httptools_impl",
        "uvloop",
    ):
        importlib.import_module(name)


def _listener(settings: Settings) -> socket.socket:
    """Return the socket for `_listen`."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    # As `socket.create_server`: the port is free again at once after a restart.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if family == socket.AF_INET6:
        listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    limit_unread_responses(listener)
    return listener


def _listen(listener: socket.socket, settings: Settings) -> None:
    with _listen_errors(settings):
        listener.bind((settings.host, settings.port))
        # Two processes may bind a port that none of them has opened yet.
        listener.listen(BACKLOG)


@contextmanager
def _listen_errors(settings: Settings) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ListenError(
            f"Cannot listen on {settings.host} port {settings.port}: {error.strerror}. "
            "Choose another address with --host and --port."
        ) from error


def _address(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"
