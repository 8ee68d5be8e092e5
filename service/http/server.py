"""The HTTP server around the application, and how it ends."""

import asyncio
import logging
import math
import signal
import socket
import sys
import time
from types import FrameType

import uvicorn

from models.errors import GuardError
from service.app import create_app
from service.deployments.reloading import Reloader
from service.http.heads import bounded_heads
from service.http.last_calls import let_in_the_last
from service.http.readiness import Readiness
from service.process.allocator import return_large_blocks
from service.process.garbage import look_seldom
from service.security.held_keys import HeldKeys
from service.settings import Settings

logger = logging.getLogger("oodguard.server")

SWITCH_INTERVAL_S = 0.0005


class Server(uvicorn.Server):
    """Uvicorn, which on SIGTERM or SIGINT turns unready, finishes what it accepted, and exits 0.

    In between it goes on answering for `drain_s`, so that whoever sends it traffic can take notice.
    On SIGHUP it looks at its keys and its bundles again.
    """

    def __init__(
        self,
        config: uvicorn.Config,
        readiness: Readiness,
        reloader: Reloader,
        keys: HeldKeys | None = None,
        *,
        drain_s: float,
    ) -> None:
        super().__init__(config)
        self._readiness = readiness
        self._reloader = reloader
        self._keys = keys
        self._drain_s = drain_s
        self._drained_at = math.inf
        self._reload: asyncio.Task[None] | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to listen to requests, and to SIGHUP."""
        await super().startup(sockets)
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, self._on_hangup)

    def _on_hangup(self) -> None:
        # Held here, since the loop itself holds tasks weakly.
        self._reload = asyncio.get_running_loop().create_task(self._look_again())

    async def _look_again(self) -> None:
        # Keys first: one that was withdrawn does not wait for models to be loaded.
        if self._keys is not None:
            await self._keys.look_again()
        try:
            await self._reloader.reload()
        except GuardError as error:
            logger.warning("nothing was reloaded: %s", error)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002
        """Begin to drain; a second signal ends at once.

        Uvicorn itself would raise the signal again after draining, and so never exit 0.
        """
        if self._drained_at < math.inf:
            self.force_exit = self.should_exit = True
        self._readiness.drain()
        self._drained_at = time.monotonic() + self._drain_s

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Let in who stands in the door, close it, and finish what was accepted."""
        if not self.force_exit:
            await let_in_the_last(sockets or [])
        await super().shutdown(sockets)

    async def on_tick(self, counter: int) -> bool:
        """Say, ten times a second, whether to stop taking connections."""
        drained = time.monotonic() >= self._drained_at
        return await super().on_tick(counter) or drained


class CannotListen(GuardError):
    """The address cannot be listened on."""


def serve_app(settings: Settings) -> None:
    """Serve until a signal comes.

    Raises:
        BundleError: The bundle is refused; no port was bound.
        CalibrationError: Its calibration is too small for the policy; no port was bound.
        KeysRefused: The keys cannot be used; no port was bound.
        CannotListen: The port is taken, or the address is not one of this machine.
    """
    # The engine's thread is not to wait the default 5 ms for its turn with the interpreter.
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    return_large_blocks()
    readiness = Readiness()
    app = create_app(settings, readiness)
    look_seldom()
    config = uvicorn.Config(
        app,
        loop="uvloop",
        http=bounded_heads(app.state.door),
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
