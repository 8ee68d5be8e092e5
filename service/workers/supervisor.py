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
from oodguard.service.workers.channel import Channel, Message, error_named
from oodguard.service.workers.common_reload import CommonReload
from oodguard.service.workers.link import SharedMemory
from oodguard.service.workers.pings import ping_all
from oodguard.service.workers.restart_delays import RestartDelays
from oodguard.service.workers.service_parts import ServiceParts
from oodguard.service.workers.worker_process import Worker, longest_end_s
from oodguard.service.workers.zygote import WorkerStartError

logger = logging.getLogger("oodguard.server")


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
        self._delays = RestartDelays()
        self._end_s = longest_end_s(settings)
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
        self._spawn(ping_all(self._all))
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
        except ConnectionResetError:  # the zygote ended before it read a request
            data = b""
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
        if "failed" in event:
            # The reason may pass, such as a lack of memory or of process ids.
            worker = self._workers[event["worker"]]
            worker.failure = WorkerStartError(f"A worker process cannot start: {event['failed']}.")
            self._spawn(self._on_ended(worker, None))
            return
        found = [each for each in self._workers.values() if each.pid == event["ended"]]
        for worker in found:
            self._spawn(self._on_ended(worker, event["status"]))

    async def _on_ended(self, worker: Worker, status: int | None) -> None:
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
        loop = asyncio.get_running_loop()
        served_s = loop.time() - worker.serves_since if worker.serves_since is not None else 0.0
        delay_s = self._delays.after(worker.number, served_s=served_s)
        logger.error(
            "A worker process ended and is replaced.",
            extra={"fields": {**fields, "error": str(worker.failure or ""), "after_s": delay_s}},
        )
        loop.call_later(delay_s, self._start, worker.number)

    def _on_failed(self, worker: Worker, message: Message) -> None:
        text, missing = message.fields["text"], message.fields["missing"]
        if missing:
            worker.failure = ModuleNotFoundError(text, name=missing)
        else:
            worker.failure = error_named(message.fields["error"], text)

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
        worker.serves_since = asyncio.get_running_loop().time()
        self._count_serving()
        self._parts.keep_tests()

    async def _on_first_ready(self, summary: dict[str, Any]) -> None:
        ready = sum(bool(each.fingerprint) for each in self._workers.values())
        if ready < self._shared.load.workers:
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

    def _count_serving(self) -> None:
        self._metrics.set_serving(sum(each.serves for each in self._workers.values()))

    def _fail(self, error: BaseException) -> None:
        """End all workers at once, then raise an error."""
        if self._failure is None:
            self._failure = error
        self._end_all()

    def _end_all(self) -> None:
        """Let all workers finish their requests and end; kill those that do not."""
        self._draining = True
        # The workers have the socket as well, and close it when they have emptied its backlog.
        self._listener.close()
        for each in self._workers.values():
            each.end()
        asyncio.get_running_loop().call_later(self._end_s, self._kill_late)
        if not self._workers:
            self._ended.set()

    def _kill_late(self) -> None:
        for each in self._workers.values():
            logger.error(
                "A worker process did not end in time and is killed.",
                extra={"fields": {"worker": each.number, "pid": each.pid}},
            )
            each.send_signal(signal.SIGKILL)

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
        self._drains_since = time.monotonic()
        self._drain_log.begin(received)
        self._end_all()

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
