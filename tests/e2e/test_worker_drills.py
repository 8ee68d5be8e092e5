"""Signals, ends and hangs of the processes of one service, while 64 clients send requests."""

import json
import os
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from benchmarks.serving.load.tally import Tally
from benchmarks.serving.processes import process_tree
from tests.e2e.conftest import RunningServer, counter, serving, wait_until
from tests.e2e.workers import WORKERS, post, under_load, versions, workers_of
from tests.service.tiny import write_tiny

pytestmark = pytest.mark.slow

QUICK = {**WORKERS, "OODGUARD_DRAIN_S": 0, "OODGUARD_TIMEOUT_S": 1, "OODGUARD_BODY_TIMEOUT_S": 1}
CLIENTS = {"kept": 48, "fresh": 16}


@pytest.fixture(name="service")
def _service(tiny_bundle: Path, tmp_path: Path) -> Iterator[RunningServer]:
    # Half of them are for one client.
    settings = {**WORKERS, "OODGUARD_MAX_PENDING": 256}
    with serving(tiny_bundle, tmp_path / "log", settings) as running:
        yield running


def events(server: RunningServer, message: str) -> list[dict[str, object]]:
    """The fields of the log lines of an event."""
    return [json.loads(line) for line in server.log.read_text().splitlines() if message in line]


def wait_for_workers(server: RunningServer, *, replaced: int) -> None:
    wait_until(lambda: counter(server, "oodguard_workers_replaced_total") == replaced)
    wait_until(lambda: counter(server, "oodguard_workers") == 2)


def assert_nothing_lost(server: RunningServer, tally: Tally, *, others: int = 0) -> None:
    """Check that clients and counters agree on the responses, of which all are successful."""
    assert set(tally.statuses) == {200}
    assert (tally.failed, tally.unread, tally.refused) == (0, 0, 0)
    answered = counter(server, "oodguard_requests_total", route="/predict", code="200")
    assert answered == tally.statuses[200] + others


def test_workers_sigterm_of_one_leaves_the_port_to_the_others(service: RunningServer) -> None:
    def end_one() -> None:
        workers_of(service)[0].send_signal(signal.SIGTERM)
        wait_for_workers(service, replaced=1)

    assert_nothing_lost(service, under_load(service, end_one, **CLIENTS))
    assert post(service).status_code == 200


def test_workers_sigterm_to_all_processes_loses_no_request(service: RunningServer) -> None:
    def end_all() -> None:
        # As systemd does by default.
        for each in process_tree(service.process.pid):
            each.send_signal(signal.SIGTERM)
        assert service.process.wait(60) == 0

    tally = under_load(service, end_all, **CLIENTS)
    assert set(tally.statuses) == {200}
    assert (tally.failed, tally.unread) == (0, 0)


def test_workers_twenty_reloads_at_once_lose_no_request(service: RunningServer) -> None:
    others = Counter[str]()

    def reload() -> None:
        for number in range(20):
            write_tiny(service.bundle, version=f"1.{number}")
            service.process.send_signal(signal.SIGHUP)
        seen = Counter[str]()
        while set(seen) != {"1.19"}:
            seen = versions(service, 6)
            others.update(seen)

    assert_nothing_lost(service, under_load(service, reload, **CLIENTS), others=others.total())
    assert set(versions(service)) == {"1.19"}


def test_workers_in_a_crash_loop_are_replaced_later_and_leave_nothing_behind(
    service: RunningServer,
) -> None:
    supervisor = psutil.Process(service.process.pid)
    (zygote,) = supervisor.children()
    open_files = supervisor.num_fds(), zygote.num_fds()
    killed = workers_of(service)[0]
    for number in range(3):
        killed.kill()
        wait_for_workers(service, replaced=number + 1)
        # It has replaced the one that was killed.
        killed = workers_of(service)[-1]
    ended = events(service, "A worker process ended and is replaced.")
    assert [each["after_s"] for each in ended] == [0, 1, 2]
    assert len({each["worker"] for each in ended}) == 1
    assert (supervisor.num_fds(), zygote.num_fds()) == open_files
    assert len(workers_of(service)) == 2
    for each in process_tree(service.process.pid):
        assert each.status() != psutil.STATUS_ZOMBIE
        # A full /dev/shm must not matter.
        assert "/dev/shm" not in Path(f"/proc/{each.pid}/maps").read_text()  # noqa: S108


def test_workers_stopped_one_is_replaced_and_the_others_serve(
    tiny_bundle: Path, tmp_path: Path
) -> None:
    before = (
        "from oodguard.service.workers import pings;"
        " pings.PING_INTERVAL_S = 0.5; pings.PING_TIMEOUT_S = 2.0"
    )
    with serving(tiny_bundle, tmp_path / "log", WORKERS, before=before) as service:
        stopped, _ = workers_of(service)
        stopped.suspend()
        assert [post(service).status_code for _ in range(20)] == [200] * 20
        wait_for_workers(service, replaced=1)
        assert not stopped.is_running()
        assert events(service, "A worker process does not answer and is killed.")


def test_workers_stopped_one_does_not_delay_the_end_of_the_service(
    tiny_bundle: Path, tmp_path: Path
) -> None:
    with serving(tiny_bundle, tmp_path / "log", QUICK) as service:
        processes = process_tree(service.process.pid)
        workers_of(service)[0].suspend()
        service.process.send_signal(signal.SIGTERM)
        assert service.process.wait(60) == 0
        assert events(service, "A worker process did not end in time and is killed.")
        assert psutil.wait_procs(processes, timeout=60)[1] == []


def test_workers_end_after_the_supervisor_though_one_is_stopped(
    tiny_bundle: Path, tmp_path: Path
) -> None:
    with serving(tiny_bundle, tmp_path / "log", QUICK) as service:
        processes = process_tree(service.process.pid)
        workers_of(service)[0].suspend()
        os.kill(service.process.pid, signal.SIGKILL)
        assert psutil.wait_procs(processes[1:], timeout=60)[1] == []


def test_workers_of_two_services_share_a_state_folder(tiny_bundle: Path, tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.mkdir()
    settings = {**QUICK, "OODGUARD_STATE": state}
    with (
        serving(tiny_bundle, tmp_path / "first", settings) as first,
        serving(tiny_bundle, tmp_path / "second", settings) as second,
    ):
        for service in (first, second):
            for _ in range(4):
                post(service)
            service.process.send_signal(signal.SIGTERM)
            assert service.process.wait(60) == 0
    files = {str(each.relative_to(state)) for each in state.rglob("*.safetensors")}
    assert files == {"drift-tiny@1.safetensors", "replica-2/drift-tiny@1.safetensors"}


def test_workers_with_few_open_files_serve_after_a_flood_of_connections(
    tiny_bundle: Path, tmp_path: Path
) -> None:
    before = "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (192, 192))"
    with serving(tiny_bundle, tmp_path / "log", WORKERS, before=before) as service:
        tally = under_load(service, lambda: wait_until(lambda: True), kept=300, fresh=0)
        assert tally.statuses[200]
        assert post(service).status_code == 200
        assert "Traceback" not in service.log.read_text()
