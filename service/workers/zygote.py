"""The process that forks the workers.

It has imported everything but ONNX Runtime, whose import starts a thread, and has no thread itself.
Forked workers share the memory of what it has imported, which saves a third of the memory of each.
The supervisor could not fork them: it has threads.
"""

import gc
import json
import logging
import os
import select
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NoReturn, TypeAlias

from oodguard.models.errors import GuardError

Work: TypeAlias = Callable[[int, bool, socket.socket, socket.socket], int]
"""Runs a worker, given its number, whether it is the first of that number, its connection to the
supervisor and the listening socket; returns the exit status."""

_MESSAGE_BYTES = 4096


class WorkerStartError(GuardError):
    """The workers cannot be started."""


def start_zygote(work: Work, *, end_s: float) -> tuple[int, socket.socket]:
    """Fork the zygote; return its process id, and the socket to it.

    Args:
        work: Runs a worker.
        end_s: The longest time in which workers end after the supervisor.

    Raises:
        WorkerStartError: This process has threads.
    """
    _require_no_threads()
    gc.collect()
    # A collection would write to all objects, and so copy their memory.
    gc.freeze()
    ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    # Ctrl-C waits until the new process ignores it.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    pid = os.fork()
    if not pid:
        ours.close()
        _exit_after(lambda: Zygote(its, work, end_s).run())
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    its.close()
    return pid, ours


def thread_count() -> int:
    """Return the number of threads of this process, on Linux with those that are not Python's."""
    tasks = Path("/proc/self/task")
    return len(list(tasks.iterdir())) if tasks.exists() else threading.active_count()


def _require_no_threads() -> None:
    threads = thread_count()
    if threads != 1:
        raise WorkerStartError(
            f"The process has {threads} threads before it starts worker processes, expected 1: a"
            " package that Python loads at its start may have created them. Remove it, or set"
            " OODGUARD_WORKERS to 1."
        )


class Zygote:
    """Forks a worker for each request of the supervisor, and reports the end of each.

    Args:
        control: The socket to the supervisor.
        work: Runs a worker.
        end_s: The longest time in which workers end after the supervisor.
    """

    def __init__(self, control: socket.socket, work: Work, end_s: float) -> None:
        self._control = control
        self._work = work
        self._end_s = end_s
        self._pids: set[int] = set()

    def run(self) -> int:
        """Work until the supervisor has ended; return the exit status."""
        # Signals of a terminal, or to all processes of a control group, are for the supervisor.
        os.setpgid(0, 0)
        for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(each, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        wake, waker = os.pipe()
        for end in (wake, waker):
            os.set_blocking(end, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
        control = self._control.fileno()
        while True:
            readable, _, _ = select.select([control, wake], [], [])
            if wake in readable:
                os.read(wake, _MESSAGE_BYTES)
                self._report_ended()
            if control in readable:
                try:
                    data, files, _, _ = socket.recv_fds(self._control, _MESSAGE_BYTES, 2)
                except ConnectionResetError:  # the supervisor ended before it read a report
                    data, files = b"", []
                if not data:
                    self._end_workers(wake)
                    return 0
                self._fork(json.loads(data), [socket.socket(fileno=each) for each in files])

    def _fork(self, request: Mapping[str, int], sockets: Sequence[socket.socket]) -> None:
        worker, first = request["worker"], bool(request["first"])
        try:
            pid = os.fork()
        except OSError as error:
            for each in sockets:
                each.close()
            self._report(worker=worker, failed=str(error.strerror))
            return
        if not pid:
            self._control.close()
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            connection, listener = sockets
            _exit_after(lambda: self._work(worker, first, connection, listener))
        self._pids.add(pid)
        for each in sockets:
            each.close()
        self._report(worker=worker, forked=pid)

    def _report_ended(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if not pid:
                return
            self._pids.discard(pid)
            self._report(ended=pid, status=os.waitstatus_to_exitcode(status))

    def _end_workers(self, wake: int) -> None:
        """Wait until the workers have ended, and kill those that do not: nothing else would."""
        until = time.monotonic() + self._end_s
        while self._pids and (remaining_s := until - time.monotonic()) > 0:
            select.select([wake], [], [], remaining_s)
            with suppress(BlockingIOError):
                os.read(wake, _MESSAGE_BYTES)
            self._report_ended()
        for each in self._pids:
            os.kill(each, signal.SIGKILL)

    def _report(self, **fields: int | str) -> None:
        try:
            self._control.send(json.dumps(fields).encode())
        except OSError:
            # The supervisor has ended, which the next read shows.
            return


def _exit_after(work: Callable[[], int]) -> NoReturn:
    """End this forked process with the status that `work` returns, whatever happens."""
    status = 1
    try:
        status = work()
    except SystemExit as error:
        status = error.code if isinstance(error.code, int) else 1
    except BaseException:
        logging.getLogger("oodguard.server").exception("A process ended with an error.")
    finally:
        logging.shutdown()
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        # Not the clean-up of the process that was forked.
        os._exit(status)
