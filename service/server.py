"""The HTTP server around the application, and how it ends."""

import math
import socket
from types import FrameType

import uvicorn

from models.errors import GuardError
from service.app import create_app
from service.readiness import Readiness
from service.settings import Settings


class Server(uvicorn.Server):
    """Uvicorn, which on SIGTERM or SIGINT turns unready, finishes what it accepted, and exits 0."""

    def __init__(self, config: uvicorn.Config, readiness: Readiness) -> None:
        super().__init__(config)
        self._readiness = readiness

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002
        """Begin to drain; a second signal ends at once.

        Uvicorn itself would raise the signal again after draining, and so never exit 0.
        """
        self._readiness.drain()
        self.force_exit = self.should_exit
        self.should_exit = True


class CannotListen(GuardError):
    """The address cannot be listened on."""


def serve_app(settings: Settings) -> None:
    """Serve until a signal comes.

    Raises:
        BundleError: The bundle is refused; no port was bound.
        CalibrationError: Its calibration is too small for the policy; no port was bound.
        CannotListen: The port is taken, or the address is not one of this machine.
    """
    readiness = Readiness()
    config = uvicorn.Config(
        create_app(settings, readiness),
        loop="uvloop",
        http="httptools",
        ws="none",
        access_log=False,
        log_config=None,
        server_header=False,
        timeout_graceful_shutdown=math.ceil(settings.timeout_s),
    )
    Server(config, readiness).run(sockets=[_listen(settings)])


def _listen(settings: Settings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        return socket.create_server((settings.host, settings.port), family=family)
    except OSError as error:
        raise CannotListen(
            f"{settings.host} port {settings.port} cannot be listened on: {error.strerror}; "
            f"choose another with --host and --port"
        ) from error
