"""Shutdown, reload and client disconnects under load."""

import json
import shutil
import signal
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path

import httpx2
import pytest

from benchmarks.serving.load.generator import ConnectionPool, closed_loop
from benchmarks.serving.requests import encoded
from tests.e2e.conftest import RunningServer, counter, is_ready, serving, wait_until
from tests.service.pictures import encode, noisy, plain
from tests.service.tiny import write_tiny

PNG = encode(plain())


def post(server: RunningServer) -> httpx2.Response:
    headers = {"content-type": "image/png"}
    return httpx2.post(f"{server.url}/predict", content=PNG, headers=headers)


@pytest.mark.parametrize(("kept", "fresh"), [(4, 0), (0, 16)])
def test_shutdown_under_load_loses_no_request(server: RunningServer, kept: int, fresh: int) -> None:
    """The clients send until their connections are refused."""
    pool = ConnectionPool(server.port, encoded(PNG), kept=kept, fresh=fresh)
    tally = closed_loop(pool, actions={200: lambda: server.process.send_signal(signal.SIGTERM)})
    assert server.process.wait(30) == 0
    assert set(tally.statuses) == {200}
    assert (tally.failed, tally.unread, tally.refused) == (0, 0, kept + fresh)


def test_shutdown_reports_not_ready_and_answers_requests(server: RunningServer) -> None:
    server.process.send_signal(signal.SIGTERM)
    statuses = []
    while server.process.poll() is None:
        try:
            ready = httpx2.get(f"{server.url}/readyz").status_code
            statuses.append((ready, post(server).status_code))
        except httpx2.TransportError:
            break
    assert (503, 200) in statuses
    lines = [json.loads(line) for line in server.log.read_text().splitlines()]
    (begin,) = (each for each in lines if each["message"] == "The service drains.")
    (end,) = (each for each in lines if each["message"] == "The service has stopped.")
    assert (begin["signal"], begin["requests_in_flight"], begin["drain_s"]) == ("SIGTERM", 0, 1)
    # OODGUARD_DRAIN_S, the accept backlog and OODGUARD_TIMEOUT_S; one second of rounding.
    times = [datetime.fromisoformat(begin[each]) for each in ("time", "deadline")]
    assert 30 <= (times[1] - times[0]).total_seconds() <= 32
    assert end["duration_s"] >= 1


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT])
def test_second_signal_ends_the_process_without_a_traceback(
    tiny_bundle: Path, tmp_path: Path, sent: signal.Signals
) -> None:
    settings = {"OODGUARD_DRAIN_S": 600}
    with serving(tiny_bundle, tmp_path / "log", settings) as server:
        with socket.create_connection(server.address) as unfinished:
            unfinished.sendall(b"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n")
            server.process.send_signal(sent)
            wait_until(lambda: not is_ready(server.url))
            server.process.send_signal(sent)
            assert server.process.wait(30) == 128 + sent
        log = server.log.read_text()
        assert "A second signal" in log
        assert "Traceback" not in log


def test_reload_under_load_loses_no_request(server: RunningServer) -> None:
    done = threading.Event()
    pool = ConnectionPool(server.port, encoded(PNG), kept=4)
    with ThreadPoolExecutor(1) as executor:
        load = executor.submit(closed_loop, pool, active=lambda: not done.is_set())
        try:
            for version in ["2", "3", "4", "5"]:
                write_tiny(server.bundle, version=version)
                server.process.send_signal(signal.SIGHUP)
                wait_until(lambda: post(server).json()["model"]["version"] == version)  # noqa: B023
        finally:
            done.set()
    tally = load.result()
    assert set(tally.statuses) == {200}
    assert (tally.failed, tally.unread, tally.refused) == (0, 0, 0)


def test_reload_of_a_missing_bundle_keeps_the_service_running(server: RunningServer) -> None:
    shutil.rmtree(server.bundle)
    server.process.send_signal(signal.SIGHUP)
    wait_until(lambda: counter(server, "oodguard_reloads_total", outcome="refused") > 0)
    assert post(server).status_code == 200


def test_client_disconnect_skips_queued_images(server: RunningServer) -> None:
    # The large images take a second or more to decode, so that most of them wait.
    body = encode(noisy((1500, 1500)))
    # Together, they stay below the share of one client of the bytes in flight.
    clients = 20
    head = (
        "POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    ).encode()
    connections = [socket.create_connection(server.address, timeout=30) for _ in range(clients)]
    for connection in connections:
        connection.sendall(head + body)
    for connection in connections:
        connection.close()
    wait_until(lambda: counter(server, "oodguard_requests_total", route="/predict") >= clients)
    disconnected = counter(server, "oodguard_requests_total", route="/predict", code="499")
    assert disconnected >= clients / 2

    def counts() -> tuple[float, float]:
        skipped = counter(server, "oodguard_skipped_images_total", reason="gone")
        return skipped, counter(server, "oodguard_batch_size_sum")

    # Every image was either run or skipped, and most images of disconnected clients were skipped.
    wait_until(lambda: sum(counts()) >= clients)
    skipped, ran = counts()
    assert skipped + ran == clients
    assert skipped >= disconnected / 2


def test_metrics_equal_the_clients_counts(server: RunningServer) -> None:
    pool = ConnectionPool(server.port, encoded(PNG), kept=4)
    assert closed_loop(pool, requests=200).statuses == {200: 200}
    assert counter(server, "oodguard_requests_total", route="/predict", code="200") == 200
    for name in ["decisions_total", "batch_size_sum", "p_value_count", "score_count"]:
        assert counter(server, f"oodguard_{name}") == 200, name
