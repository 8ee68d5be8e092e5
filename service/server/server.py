"""The HTTP server around the application, and how it ends."""

import asyncio
import ctypes
import logging
import math
import signal
import socket
import struct
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from types import FrameType

import uvicorn

from oodguard.models.errors import GuardError
from oodguard.service.auth.key_store import KeyStore
from oodguard.service.readiness import Readiness
from oodguard.service.registry.reload import Reloader

# <asm-generic/socket.h>; `socket` does not name it.
SO_ATTACH_FILTER = 26

# <linux/filter.h>: one instruction, BPF_RET | BPF_K, which keeps 0 bytes of whatever comes.
KEEP_NOTHING = struct.pack("HBBI", 0x06, 0, 0, 0)

# For the event loop to take what waits, and for what was taken to send its request.
GRACE_S = 0.25


async def drain_accept_backlog(listeners: Sequence[socket.socket]) -> None:
    """Take no more connections, and all those that the system has taken already.

    Closing a listener resets the connections that wait to be accepted, whatever was sent over them.
    So first the system is told to leave new ones unanswered; who asks for one asks again a second
    later, and is refused.
    """
    for listener in listeners:
        _leave_unanswered(listener)
    await asyncio.sleep(GRACE_S)


def _leave_unanswered(listener: socket.socket) -> None:
    # Elsewhere the number means another thing, and connections of the last moment are lost.
    if sys.platform != "linux":
        return
    instruction = ctypes.create_string_buffer(KEEP_NOTHING, len(KEEP_NOTHING))
    program = struct.pack("HP", 1, ctypes.addressof(instruction))
    # So they are in a sandbox without filters.
    with suppress(OSError):
        listener.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, program)


logger = logging.getLogger("oodguard.server")


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
        keys: KeyStore | None = None,
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
            await self._keys.reload()
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
            await drain_accept_backlog(sockets or [])
        await super().shutdown(sockets)

    async def on_tick(self, counter: int) -> bool:
        """Say, ten times a second, whether to stop taking connections."""
        drained = time.monotonic() >= self._drained_at
        return await super().on_tick(counter) or drained
