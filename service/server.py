"""The HTTP server around the application, and how it ends."""

import math
from types import FrameType

import uvicorn

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


def serve_app(settings: Settings) -> bool:
    """Serve until a signal comes.

    Returns:
        Whether the service ever listened.

    Raises:
        GuardError: The bundle is refused; no port was bound.
    """
    readiness = Readiness()
    config = uvicorn.Config(
        create_app(settings, readiness),
        host=settings.host,
        port=settings.port,
        loop="uvloop",
        http="httptools",
        access_log=False,
        log_config=None,
        server_header=False,
        timeout_graceful_shutdown=math.ceil(settings.timeout_s),
    )
    server = Server(config, readiness)
    server.run()
    return server.started
