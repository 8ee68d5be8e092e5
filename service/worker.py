"""Run one worker process: its application, its event loop, and its link to the supervisor."""

import asyncio
import math
import signal
import socket
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from types import FrameType

import uvicorn

from oodguard.models.errors import GuardError
from oodguard.models.free_memory import return_free_memory
from oodguard.service.app import create_app
from oodguard.service.readiness import Readiness
from oodguard.service.server.early_load_shedding import http_protocol_class
from oodguard.service.server.garbage_collector import tune_garbage_collector
from oodguard.service.server.graceful_shutdown import DRAIN_BACKLOG_S, GracefulServer
from oodguard.service.server.shared_listener import SharedListener
from oodguard.service.settings import Settings
from oodguard.service.workers.channel import Channel, Message
from oodguard.service.workers.count import settings_of_worker
from oodguard.service.workers.link import SharedMemory, WorkerLink, report_failure
from oodguard.service.workers.shared_values import keep_values

# The event loop waits this long for the interpreter lock while another thread decodes or prepares a
# batch. With Python's 5 ms, /healthz under a flood of 256-image batches took 112 instead of 20 ms
# (median; p99 490 instead of 54 ms).
SWITCH_INTERVAL_S = 0.0005


def server_config(
    settings: Settings, app: object, protocol: type[asyncio.Protocol]
) -> uvicorn.Config:
    """Return uvicorn's configuration."""
    return uvicorn.Config(
        app,  # type: ignore[arg-type]
        loop="uvloop",
        http=protocol,
        ws="none",
        proxy_headers=False,
        access_log=False,
        log_config=None,
        server_header=False,
        timeout_graceful_shutdown=math.ceil(settings.timeout_s),
    )


class WorkerServer(GracefulServer):
    """The server of one worker: accepts connections of a shared socket when all are ready."""

    def __init__(
        self,
        config: uvicorn.Config,
        readiness: Readiness,
        link: WorkerLink,
        start_listening: Callable[[], Awaitable[None]],
        *,
        drain_s: float,
    ) -> None:
        super().__init__(config, readiness, link.reload_all, drain_s=drain_s)
        self._link = link
        self._start_listening = start_listening
        self._ends_with_service = False

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Connect to the supervisor, wait for the other workers, and accept connections."""
        loop = asyncio.get_running_loop()
        self._link_task = loop.create_task(
            self._link.serve(self._on_end, self._on_supervisor_ended)
        )
        await super().startup([])
        await self._start_listening()

        def create_protocol() -> asyncio.Protocol:
            return self.config.http_protocol_class(  # type: ignore[call-arg]
                config=self.config,
                server_state=self.server_state,
                app_state=self.lifespan.state,
                _loop=loop,
            )

        for each in sockets or ():
            listener = SharedListener(
                each, create_protocol, self._link.counts, lambda: len(self.server_state.connections)
            )
            listener.start()
            self.servers.append(listener)  # type: ignore[arg-type]

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to drain. The supervisor ends a worker that has to end at once."""
        # A signal to all processes of a control group, as systemd sends it, arrives here as well.
        if not self.is_draining:
            super().handle_exit(sig, frame)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Drain the accept backlog if the service ends; else the other workers accept from it."""
        if self._ends_with_service:
            await super().shutdown(sockets)
            return
        self._stop_accepting()
        # For the requests over the last accepted connections to arrive.
        await asyncio.sleep(DRAIN_BACKLOG_S)
        await super().shutdown([])

    def _on_end(self, message: Message) -> None:
        if message.fields["service"]:
            self._ends_with_service = True
        else:
            self._stop_accepting()
        self.handle_exit(signal.SIGTERM, None)

    def _stop_accepting(self) -> None:
        for each in self.servers:
            each.close()

    def _on_supervisor_ended(self) -> None:
        # Without waiting for load balancers: the port must be free for another service.
        self._ends_with_service = True
        self.drain_now()


@dataclass(frozen=True, kw_only=True)
class WorkerRunner:
    """Runs a worker in a forked process.

    Attributes:
        settings: The settings of the service.
        shared: The memory that all workers share.
        supervisor_bytes: The memory of the supervisor.
    """

    settings: Settings
    shared: SharedMemory
    supervisor_bytes: int

    def run(
        self,
        worker: int,
        first: bool,
        connection: socket.socket,
        listener: socket.socket,
    ) -> int:
        """Serve until the supervisor ends this worker; return the exit status."""
        sys.setswitchinterval(SWITCH_INTERVAL_S)
        keep_values(self.shared.values[worker])
        settings = settings_of_worker(self.settings, self.shared.load.workers)
        channel = Channel(connection, {})
        link = WorkerLink(
            channel=channel,
            shared=self.shared,
            worker=worker,
            records=first and worker == 0,
            supervisor_bytes=self.supervisor_bytes,
        )
        readiness = Readiness()
        try:
            app = create_app(settings, readiness, own_process=link)
        except (GuardError, ModuleNotFoundError) as error:
            report_failure(channel, error)
            return 1
        tune_garbage_collector()
        return_free_memory()
        protocol = http_protocol_class(app.state.load_shedding, link.counts, app.state.admission)

        async def start_listening() -> None:
            await link.wait_until_all_are_ready(app.state.summary)

        server = WorkerServer(
            server_config(settings, app, protocol),
            readiness,
            link,
            start_listening,
            drain_s=settings.drain_s,
        )
        server.run(sockets=[listener])
        return 0
