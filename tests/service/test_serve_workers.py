"""The number of processes that a service starts with."""

import socket

import pytest

from oodguard.service import serve
from oodguard.service.errors import MemoryLimitError
from oodguard.service.settings import Settings
from oodguard.service.workers.channel import Channel, error_named
from oodguard.service.workers.link import report_failure


def test_serve_starts_fewer_workers_if_the_memory_does_not_suffice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    started: list[int] = []

    def with_workers(_: Settings, workers: int) -> None:
        started.append(workers)
        raise MemoryLimitError("too little")

    monkeypatch.setattr(serve, "worker_count", lambda *_, **__: 8)
    monkeypatch.setattr(serve, "thread_count", lambda: 1)
    monkeypatch.setattr(serve, "_serve_with_workers", with_workers)
    monkeypatch.setattr(serve, "_serve_alone", lambda _: started.append(1))
    serve.serve_app(Settings())
    assert started == [8, 4, 2, 1]
    with pytest.raises(MemoryLimitError):
        serve.serve_app(Settings(workers=8))


def test_serve_gets_the_kind_of_error_of_a_worker() -> None:
    ours, its = socket.socketpair()
    report_failure(Channel(its, {}), MemoryLimitError("too little"))
    assert b'"error": "MemoryLimitError", "text": "too little"' in ours.recv(4096)
    assert isinstance(error_named("MemoryLimitError", "too little"), MemoryLimitError)
    for each in (ours, its):
        each.close()
