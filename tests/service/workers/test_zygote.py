"""The process that forks the workers."""

import itertools
import json
import os
import socket
import threading

import pytest

from oodguard.service.workers.zygote import WorkerStartError, Zygote, start_zygote


def test_zygote_is_not_forked_from_a_process_with_threads() -> None:
    stop = threading.Event()
    thread = threading.Thread(target=stop.wait)
    thread.start()
    try:
        with pytest.raises(WorkerStartError, match=r"expected 1: .* OODGUARD_WORKERS to 1"):
            start_zygote(lambda *_: 0, end_s=1)
    finally:
        stop.set()
        thread.join()


@pytest.fixture
def no_new_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the zygote run in a thread of this process, and fork nothing."""

    def no_process_id() -> int:
        raise BlockingIOError(11, os.strerror(11))

    monkeypatch.setattr(os, "fork", no_process_id)
    monkeypatch.setattr(os, "setpgid", lambda *_: None)
    monkeypatch.setattr("signal.signal", lambda *_: None)
    monkeypatch.setattr("signal.set_wakeup_fd", lambda *_, **__: None)


@pytest.mark.usefixtures("no_new_process")
def test_zygote_ends_with_a_supervisor_that_left_a_report_unread() -> None:
    ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    pairs = [socket.socketpair() for _ in range(2)]
    request = json.dumps({"worker": 1, "first": False}).encode()
    socket.send_fds(ours, [request], [each.fileno() for each, _ in pairs])
    status = []
    thread = threading.Thread(target=lambda: status.append(Zygote(its, lambda *_: 0, 1).run()))
    thread.start()
    # The report has arrived, and the end of the socket resets the connection.
    assert ours.recv(4096, socket.MSG_PEEK)
    ours.close()
    thread.join()
    assert status == [0]
    for each in itertools.chain(*pairs, [its]):
        each.close()


@pytest.mark.usefixtures("no_new_process")
def test_zygote_that_cannot_fork_reports_it_and_continues() -> None:
    ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    thread = threading.Thread(target=Zygote(its, lambda *_: 0, 1).run)
    thread.start()
    for _ in range(2):
        request = json.dumps({"worker": 1, "first": False}).encode()
        pairs = [socket.socketpair() for _ in range(2)]
        socket.send_fds(ours, [request], [each.fileno() for each, _ in pairs])
        assert json.loads(ours.recv(4096)) == {
            "worker": 1,
            "failed": "Resource temporarily unavailable",
        }
        for each, other in pairs:
            each.close()
            # The zygote has closed its copy.
            assert other.recv(1) == b""
            other.close()
    ours.close()
    thread.join()
    its.close()
