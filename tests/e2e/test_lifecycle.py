"""Shutdown, reload and client disconnects under load."""

import shutil
import signal
import socket
import time

import httpx2
import pytest

from tests.e2e.conftest import RunningServer, counter, wait_until
from tests.e2e.load import HEADERS, under_load
from tests.service.pictures import encode, noisy, plain
from tests.service.tiny import write_tiny

PNG = encode(plain())
CLIENTS = 4


def post(server: RunningServer) -> int:
    return httpx2.post(f"{server.url}/predict", content=PNG, headers=HEADERS).status_code


@pytest.mark.parametrize(("clients", "keep"), [(CLIENTS, True), (4 * CLIENTS, False)])
def test_graceful_shutdown_under_load_loses_no_request(
    server: RunningServer, clients: int, *, keep: bool
) -> None:
    """Clients that keep connections leave when one closes; the others connect until refused."""
    with under_load(server.address, PNG, clients=clients, keep=keep) as load:
        assert load.enough.wait(60)
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(30) == 0
    assert load.lost == []
    assert set(load.statuses) == {200}


def test_graceful_shutdown_reports_not_ready_while_requests_are_still_answered(
    server: RunningServer,
) -> None:
    server.process.send_signal(signal.SIGTERM)
    statuses = []
    while server.process.poll() is None:
        try:
            ready = httpx2.get(f"{server.url}/readyz").status_code
            statuses.append((ready, post(server)))
        except httpx2.TransportError:
            break
    assert (503, 200) in statuses


def test_reload_under_load_loses_no_request(server: RunningServer) -> None:
    with under_load(server.address, PNG, clients=CLIENTS) as load:
        assert load.enough.wait(60)
        for version in range(2, 6):
            write_tiny(server.bundle, version=str(version))
            server.process.send_signal(signal.SIGHUP)
            give_up = time.monotonic() + 30
            while str(version) not in load.versions and time.monotonic() < give_up:
                time.sleep(0.02)
    assert load.lost == []
    assert set(load.statuses) == {200}
    assert load.versions >= {"1", "2", "3", "4", "5"}


def test_reload_of_a_missing_bundle_keeps_the_service_running(server: RunningServer) -> None:
    shutil.rmtree(server.bundle)
    server.process.send_signal(signal.SIGHUP)
    wait_until(lambda: counter(server, "oodguard_reloads_total", outcome="refused") > 0)
    assert post(server) == 200


def test_client_disconnect_skips_queued_images(server: RunningServer) -> None:
    # The large images take a second or more to decode, so that most of them wait.
    body = encode(noisy((1500, 1500)))
    clients = 24
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
    with under_load(server.address, PNG, clients=CLIENTS) as load:
        assert load.enough.wait(60)
    answered = load.statuses[200]
    assert counter(server, "oodguard_requests_total", route="/predict", code="200") == answered
    for name in ["decisions_total", "batch_size_sum", "p_value_count", "score_count"]:
        assert counter(server, f"oodguard_{name}") == answered, name
