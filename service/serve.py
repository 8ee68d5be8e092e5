"""Run the service: build the application, bind the port, start uvicorn."""

import math
import socket
import sys

import uvicorn

from oodguard.models.errors import GuardError
from oodguard.service.app import create_app
from oodguard.service.readiness import Readiness
from oodguard.service.server.http_protocol import http_protocol_class
from oodguard.service.server.process import return_freed_memory, tune_garbage_collector
from oodguard.service.server.server import Server
from oodguard.service.settings import Settings

SWITCH_INTERVAL_S = 0.0005


class CannotListen(GuardError):
    """The address cannot be listened on."""


def serve_app(settings: Settings) -> None:
    """Serve until a signal comes.

    Raises:
        BundleError: The bundle is refused; no port was bound.
        CalibrationError: Its calibration is too small for the policy; no port was bound.
        KeyFileError: The keys cannot be used; no port was bound.
        CannotListen: The port is taken, or the address is not one of this machine.
    """
    # The engine's thread is not to wait the default 5 ms for its turn with the interpreter.
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    return_freed_memory()
    readiness = Readiness()
    app = create_app(settings, readiness)
    tune_garbage_collector()
    config = uvicorn.Config(
        app,
        loop="uvloop",
        http=http_protocol_class(app.state.door),
        ws="none",
        proxy_headers=False,
        access_log=False,
        log_config=None,
        server_header=False,
        timeout_graceful_shutdown=math.ceil(settings.timeout_s),
    )
    server = Server(config, readiness, app.state.reloader, app.state.keys, drain_s=settings.drain_s)
    server.run(sockets=[_listen(settings)])


def _listen(settings: Settings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        return socket.create_server((settings.host, settings.port), family=family)
    except OSError as error:
        raise CannotListen(
            f"{settings.host} port {settings.port} cannot be listened on: {error.strerror}; "
            f"choose another with --host and --port"
        ) from error
