"""Stopped, reloaded and hung up on under load: nothing that was sent goes unanswered."""

import shutil
import signal
import socket
import time

import httpx2
from prometheus_client.parser import text_string_to_metric_families

from tests.e2e.conftest import RunningServer
from tests.e2e.load import under_load
from tests.service.pictures import encode, noisy, plain
from tests.service.tiny import write_tiny

PNG = encode(plain())
CLIENTS = 4


def address(server: RunningServer) -> tuple[str, int]:
    host, port = server.url.removeprefix("http://").split(":")
    return host, int(port)


def test_a_server_that_is_stopped_under_load_loses_no_request(server: RunningServer) -> None:
    with under_load(*address(server), PNG, clients=CLIENTS) as load:
        assert load.enough.wait(60)
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(30) == 0
    assert load.lost == []
    assert set(load.statuses) == {200}


def test_nor_does_it_when_clients_take_no_notice_and_connect_until_nobody_listens(
    server: RunningServer,
) -> None:
    with under_load(*address(server), PNG, clients=4 * CLIENTS, keep=False) as load:
        assert load.enough.wait(60)
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(30) == 0
    assert load.lost == []
    assert set(load.statuses) == {200}


def test_it_says_that_it_is_not_ready_before_it_stops_answering(server: RunningServer) -> None:
    server.process.send_signal(signal.SIGTERM)
    answers = []
    while server.process.poll() is None:
        try:
            ready, judged = (
                httpx2.get(f"{server.url}/readyz").status_code,
                httpx2.post(
                    f"{server.url}/predict", content=PNG, headers={"content-type": "image/png"}
                ).status_code,
            )
        except httpx2.TransportError:
            break
        answers.append((ready, judged))
    assert (503, 200) in answers


def test_a_bundle_is_swapped_under_load_without_a_lost_request(
    server: RunningServer,
) -> None:
    with under_load(*address(server), PNG, clients=CLIENTS) as load:
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


def test_a_bundle_that_is_spoilt_on_disk_does_not_end_the_service(server: RunningServer) -> None:
    shutil.rmtree(server.bundle)
    server.process.send_signal(signal.SIGHUP)
    give_up = time.monotonic() + 30
    while counter(server, "oodguard_reloads_total", outcome="refused") == 0:
        assert time.monotonic() < give_up
        time.sleep(0.02)
    answer = httpx2.post(
        f"{server.url}/predict", content=PNG, headers={"content-type": "image/png"}
    )
    assert answer.status_code == 200


def counter(server: RunningServer, name: str, **labels: str) -> float:
    """The sum of a counter's samples with these labels among theirs."""
    text = httpx2.get(f"{server.url}/metrics").text
    return sum(
        sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    )


def test_what_clients_hung_up_on_is_not_run(server: RunningServer) -> None:
    # Large pictures: decoding them all takes a second or more, so that most of them wait.
    part = encode(noisy((1500, 1500)))
    clients = 24
    head = (
        "POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\n"
        f"Content-Length: {len(part)}\r\n\r\n"
    ).encode()
    connections = [socket.create_connection(address(server), timeout=30) for _ in range(clients)]
    for connection in connections:
        connection.sendall(head + part)
    for connection in connections:
        connection.close()
    give_up = time.monotonic() + 60
    while counter(server, "oodguard_requests_total", route="/predict") < clients:
        assert time.monotonic() < give_up
        time.sleep(0.05)
    hung_up = counter(server, "oodguard_requests_total", route="/predict", code="499")
    assert hung_up >= clients / 2
    # Every image was either run or skipped, and of those whose client had gone most were skipped.
    give_up = time.monotonic() + 60
    while True:
        skipped = counter(server, "oodguard_skipped_images_total", reason="gone")
        ran = counter(server, "oodguard_batch_size_sum")
        if skipped + ran >= clients:
            break
        assert time.monotonic() < give_up
        time.sleep(0.05)
    assert skipped + ran == clients
    assert skipped >= hung_up / 2


def test_what_the_clients_counted_is_what_the_metrics_say(server: RunningServer) -> None:
    with under_load(*address(server), PNG, clients=CLIENTS) as load:
        assert load.enough.wait(60)
    answered = load.statuses[200]
    assert counter(server, "oodguard_requests_total", route="/predict", code="200") == answered
    assert counter(server, "oodguard_decisions_total") == answered
    assert counter(server, "oodguard_batch_size_sum") == answered
    assert counter(server, "oodguard_p_value_count") == answered
    assert counter(server, "oodguard_score_count") == answered
