"""Start the workers, replace those that end, reload and drain them as one service."""

import asyncio
import json
import logging
import os
import signal
import socket
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from oodguard.models.errors import GuardError
from oodguard.service.server.graceful_shutdown import DrainLog
from oodguard.service.settings import Settings
from oodguard.service.telemetry.worker_metrics import WorkerMetrics
from oodguard.service.workers.channel import Channel, Message
from oodguard.service.workers.common_reload import CommonReload
from oodguard.service.workers.link import SharedMemory
from oodguard.service.workers.service_parts import ServiceParts
from oodguard.service.workers.worker_process import Worker
from oodguard.service.workers.zygote import WorkerStartError

logger = logging.getLogger("oodguard.server")

# A worker whose event loop does not answer twice in a row is killed, and replaced. Twice, because
# the first time-out may have run while the whole service was paused.
PING_INTERVAL_S = 10.0
PING_TIMEOUT_S = 15.0

# Between attempts to replace a worker that did not become ready, doubled each time.
FIRST_RETRY_S = 1.0
LAST_RETRY_S = 30.0


class Supervisor:
    """Supervises the workers of a service.

    Args:
        settings: The settings of the service.
        shared: The memory that the workers share.
        zygote: The process that forks workers, and the socket to it.
        listener: The listening socket.
        open_port: Opens the port when all workers are ready, given the summary of one of them.
    """

    def __init__(
        self,
        settings: Settings,
        shared: SharedMemory,
        zygote: tuple[int, socket.socket],
        listener: socket.socket,
        open_port: Callable[[dict[str, Any]], None],
    ) -> None:
        self._shared = shared
        self._zygote_pid, self._zygote = zygote
        self._listener = listener
        self._open_port = open_port
        self._parts = ServiceParts(settings, shared.values, self._all, self._pids)
        self._metrics = WorkerMetrics(self._parts.registry)
        self._reload = CommonReload(self._ready, self._parts.keep_tests)
        self._workers: dict[int, Worker] = {}
        self._retry_s = dict.fromkeys(range(shared.load.workers), 0.0)
        self._all_ready = asyncio.Event()
        self._ended = asyncio.Event()
        self._failure: BaseException | None = None
        self._draining = False
        self._drain_log = DrainLog(
            settings=settings, requests=shared.load.requests, connections=shared.load.connections
        )
        self._drains_since: float | None = None
        self._tasks: set[asyncio.Task[Any]] = set()

    async def run(self) -> None:
        """Serve until SIGTERM or SIGINT, and until all workers have ended.

        Raises:
            GuardError: A worker cannot start; all have ended.
        """
        loop = asyncio.get_running_loop()
        for each in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(each, self._on_exit_signal, each)
        loop.add_signal_handler(signal.SIGHUP, lambda: self._spawn(self._reload.reload_all()))
        self._zygote.setblocking(False)
        loop.add_reader(self._zygote, self._on_zygote)
        for number in range(self._shared.load.workers):
            self._start(number, first=True)
        self._spawn(self._ping_all())
        await self._ended.wait()
        loop.remove_reader(self._zygote)
        await asyncio.to_thread(self._close)
        if self._drains_since is not None:
            self._drain_log.end(self._drains_since)
        if self._failure is not None:
            raise self._failure

    def _close(self) -> None:
        self._zygote.close()
        self._parts.close()
        os.waitpid(self._zygote_pid, 0)

    def _start(self, number: int, *, first: bool = False) -> None:
        """Let the zygote fork a worker."""
        if self._draining:
            return
        ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        worker = Worker(number=number, channel=Channel(ours, {}))
        worker.channel.handlers.update(
            ready=partial(self._on_ready, worker),
            failed=partial(self._on_failed, worker),
            reload=lambda message: self._reload.reload(message.fields["only"]),
            reload_all=lambda _message: self._reload.reload_all(),
            **self._parts.handlers,
        )
        self._workers[number] = worker
        worker.connected = asyncio.get_running_loop().create_task(worker.channel.serve())
        request = json.dumps({"worker": number, "first": first}).encode()
        socket.send_fds(self._zygote, [request], [its.fileno(), self._listener.fileno()])
        its.close()

    def _on_zygote(self) -> None:
        try:
            data = self._zygote.recv(4096)
        except BlockingIOError:
            return
        if not data:
            asyncio.get_running_loop().remove_reader(self._zygote)
            self._fail(WorkerStartError("The process that starts the workers has ended."))
            # It would have reported the end of the workers.
            self._spawn(self._wait_for_channels())
            return
        event = json.loads(data)
        if "forked" in event:
            worker = self._workers[event["worker"]]
            worker.pid = event["forked"]
            if self._draining:
                worker.send_signal(signal.SIGKILL)
            return
        found = [each for each in self._workers.values() if each.pid == event["ended"]]
        for worker in found:
            self._spawn(self._on_ended(worker, event["status"]))

    async def _on_ended(self, worker: Worker, status: int) -> None:
        # The messages that the worker sent before its end come first.
        if worker.connected is not None:
            await worker.connected
        self._parts.keep_counts(worker)
        self._shared.load.clear(worker.number)
        del self._workers[worker.number]
        self._count_serving()
        if self._draining:
            if not self._workers:
                self._ended.set()
            return
        fields = {"worker": worker.number, "status": status, "pid": worker.pid}
        if not self._all_ready.is_set():
            self._fail(
                worker.failure
                or WorkerStartError(f"A worker process ended with status {status} at its start.")
            )
            return
        self._metrics.count_replaced()
        if worker.serves:
            self._retry_s[worker.number] = 0.0
        retry_s = self._retry_s[worker.number]
        self._retry_s[worker.number] = min(max(FIRST_RETRY_S, 2 * retry_s), LAST_RETRY_S)
        logger.error(
            "A worker process ended and is replaced.",
            extra={"fields": {**fields, "error": str(worker.failure or ""), "after_s": retry_s}},
        )
        asyncio.get_running_loop().call_later(retry_s, self._start, worker.number)

    def _on_failed(self, worker: Worker, message: Message) -> None:
        text, missing = message.fields["text"], message.fields["missing"]
        worker.failure = ModuleNotFoundError(text, name=missing) if missing else GuardError(text)

    async def _on_ready(self, worker: Worker, message: Message) -> None:
        """Let a worker accept connections once it serves what the others serve."""
        worker.update(message)
        if not self._all_ready.is_set():
            await self._on_first_ready(message.fields["summary"])
        else:
            async with self._reload.lock:
                others = [each for each in self._workers.values() if each.serves]
                if any(each.fingerprint != worker.fingerprint for each in others):
                    logger.warning(
                        "The files have changed since the last reload: all workers are reloaded."
                    )
                    await self._reload.together(None)
        worker.serves = True
        self._count_serving()
        self._parts.keep_tests()

    async def _on_first_ready(self, summary: dict[str, Any]) -> None:
        if sum(bool(each.fingerprint) for each in self._workers.values()) < len(self._retry_s):
            await self._all_ready.wait()
            return
        async with self._reload.lock:
            await self._reload.agree()
        try:
            self._open_port(summary)
        except GuardError as error:
            self._fail(error)
            return
        self._all_ready.set()

    async def _ping_all(self) -> None:
        """Kill workers that do not answer: probes from outside reach the other workers only."""
        while not self._draining:
            await asyncio.sleep(PING_INTERVAL_S)
            await asyncio.gather(*(self._ping(each) for each in self._all() if each.fingerprint))

    async def _ping(self, worker: Worker) -> None:
        for _ in range(2):
            try:
                await asyncio.wait_for(worker.channel.call("ping"), PING_TIMEOUT_S)
            except TimeoutError:
                continue
            except GuardError:
                pass
            return
        if not self._draining:
            logger.error(
                "A worker process does not answer and is killed.",
                extra={"fields": {"worker": worker.number, "pid": worker.pid}},
            )
            worker.send_signal(signal.SIGKILL)

    def _count_serving(self) -> None:
        self._metrics.set_serving(sum(each.serves for each in self._workers.values()))

    def _fail(self, error: BaseException) -> None:
        """End all workers at once, then raise an error."""
        if self._failure is None:
            self._failure = error
        self._draining = True
        sent = signal.SIGTERM if self._all_ready.is_set() else signal.SIGKILL
        for each in self._workers.values():
            each.send_signal(sent)
        if not self._workers:
            self._ended.set()

    async def _wait_for_channels(self) -> None:
        """Wait until all workers have closed their channels, as they do at their end."""
        connected = [each.connected for each in self._workers.values() if each.connected]
        if connected:
            await asyncio.wait(connected)
        self._ended.set()

    def _on_exit_signal(self, received: signal.Signals) -> None:
        if self._draining:
            logger.warning("A second signal ended the process before all requests.")
            logging.shutdown()
            for each in self._workers.values():
                each.send_signal(signal.SIGKILL)
            os._exit(128 + received)
        self._draining = True
        self._drains_since = time.monotonic()
        self._drain_log.begin(received)
        # The workers have the socket as well, and close it when they have emptied its backlog.
        self._listener.close()
        # A worker that is not ready yet has no requests.
        for each in self._workers.values():
            each.send_signal(signal.SIGTERM if each.serves else signal.SIGKILL)
        if not self._workers:
            self._ended.set()

    def _spawn(self, work: Any) -> None:  # noqa: ANN401 - a coroutine
        # The loop has only a weak reference to its tasks.
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _pids(self) -> list[int]:
        workers = [each.pid for each in self._workers.values() if each.pid]
        return [os.getpid(), self._zygote_pid, *workers]

    def _all(self) -> list[Worker]:
        return list(self._workers.values())

    def _ready(self) -> list[Worker]:
        """Return the workers that have loaded their models, and stay."""
        return [each for _, each in sorted(self._workers.items()) if each.is_ready]


def supervise(
    settings: Settings,
    shared: SharedMemory,
    zygote: tuple[int, socket.socket],
    listener: socket.socket,
    open_port: Callable[[dict[str, Any]], None],
) -> None:
    """Serve until SIGTERM or SIGINT; see `Supervisor`.

    Raises:
        GuardError: A worker cannot start, or the port cannot be opened.
    """

    async def run() -> None:
        await Supervisor(settings, shared, zygote, listener, open_port).run()

    asyncio.run(run())
