"""Several worker processes that serve as one."""

import json
import shutil
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import httpx2
import psutil
import pytest
from safetensors.numpy import load_file

from benchmarks.serving.load.generator import ConnectionPool, closed_loop
from benchmarks.serving.requests import encoded
from tests.e2e.conftest import RunningServer, counter, is_ready, serving, start, wait_until
from tests.e2e.workers import PNG, WORKERS, post, under_load, versions, workers_of
from tests.service.api_keys import IssuedKey, write_key_file
from tests.service.tiny import write_tiny

pytestmark = pytest.mark.slow


@pytest.fixture(name="service")
def _service(tiny_bundle: Path, tmp_path: Path) -> Iterator[RunningServer]:
    with serving(tiny_bundle, tmp_path / "log", WORKERS) as running:
        yield running


@pytest.mark.parametrize(("kept", "fresh"), [(8, 0), (0, 16)])
def test_workers_shutdown_under_load_loses_no_request(
    service: RunningServer, kept: int, fresh: int
) -> None:
    pool = ConnectionPool(service.port, encoded(PNG), kept=kept, fresh=fresh)
    tally = closed_loop(pool, actions={400: lambda: service.process.send_signal(signal.SIGTERM)})
    assert service.process.wait(30) == 0
    assert set(tally.statuses) == {200}
    assert (tally.failed, tally.unread, tally.refused) == (0, 0, kept + fresh)
    log = service.log.read_text()
    assert (log.count("The service drains."), log.count("The service has stopped.")) == (1, 1)


def test_workers_share_kept_connections_evenly(service: RunningServer) -> None:
    clients = [httpx2.Client() for _ in range(6)]
    for client in clients:
        client.get(f"{service.url}/healthz")
    open_of = [
        sum(
            each.laddr.port == service.port and each.status == psutil.CONN_ESTABLISHED
            for each in worker.net_connections()
        )
        for worker in workers_of(service)
    ]
    for client in clients:
        client.close()
    # A connection of the readiness probe may be open for a moment longer.
    assert sum(open_of) >= 6
    assert max(open_of) - min(open_of) <= 2


def test_workers_reload_together_under_load(service: RunningServer) -> None:
    def reload() -> None:
        for version in ["2", "3", "4"]:
            write_tiny(service.bundle, version=version)
            service.process.send_signal(signal.SIGHUP)
            loaded = int(version) - 1
            wait_until(
                lambda: counter(service, "oodguard_reloads_total", outcome="loaded") == loaded  # noqa: B023
            )
            wait_until(lambda: set(versions(service, 8)) == {version})  # noqa: B023

    tally = under_load(service, reload)
    assert set(tally.statuses) == {200}
    assert (tally.failed, tally.unread, tally.refused) == (0, 0, 0)
    assert service.log.read_text().count("A bundle was loaded.") == 4


def test_workers_killed_one_is_replaced_and_loses_only_its_own_requests(
    service: RunningServer,
) -> None:
    killed, other = workers_of(service)
    pool = ConnectionPool(service.port, encoded(PNG), kept=8)
    tally = closed_loop(pool, requests=1500, actions={500: killed.kill})
    assert set(tally.statuses) == {200}
    assert (tally.unread, tally.refused) == (0, 0)
    # The killed worker held its half of the connections, or a few more.
    assert tally.failed <= 6
    wait_until(lambda: counter(service, "oodguard_workers") == 2)
    assert counter(service, "oodguard_workers_replaced_total") == 1
    assert other in workers_of(service)
    # The counts of the killed worker are not lost. The killed worker may have predicted an image
    # and not sent the answer, or sent the answer and not counted the request.
    answered = counter(service, "oodguard_requests_total", route="/predict", code="200")
    assert tally.statuses[200] - 6 <= answered <= tally.statuses[200]
    predicted = counter(service, "oodguard_score_count")
    assert tally.statuses[200] <= predicted <= tally.statuses[200] + tally.failed
    assert counter(service, "oodguard_requests_in_flight") == 0


def test_workers_killed_after_the_bundle_changed_are_not_mixed(service: RunningServer) -> None:
    write_tiny(service.bundle, version="2")
    assert set(versions(service)) == {"1"}
    workers_of(service)[0].kill()
    wait_until(lambda: counter(service, "oodguard_workers_replaced_total") == 1)
    wait_until(lambda: counter(service, "oodguard_workers") == 2)
    assert set(versions(service)) == {"2"}
    assert "The files have changed since the last reload" in service.log.read_text()


def test_workers_with_a_refused_bundle_are_replaced_when_it_is_restored(
    service: RunningServer, tmp_path: Path
) -> None:
    shutil.move(service.bundle, tmp_path / "away")
    workers_of(service)[0].kill()
    wait_until(lambda: counter(service, "oodguard_workers_replaced_total") >= 2)
    assert is_ready(service.url)
    assert set(versions(service)) == {"1"}
    shutil.move(tmp_path / "away", service.bundle)
    wait_until(lambda: counter(service, "oodguard_workers") == 2)


def test_workers_limits_reload_and_reset_hold_for_the_service(
    tiny_bundle: Path, tmp_path: Path
) -> None:
    limited = IssuedKey.create("predict", key_id="limited", requests_per_minute=10)
    admin = IssuedKey.create("admin", "metrics", "predict", key_id="the-admin")
    state = tmp_path / "state"
    state.mkdir()
    settings = {
        **WORKERS,
        "OODGUARD_KEYS_FILE": write_key_file(tmp_path / "keys.toml", limited, admin),
        "OODGUARD_ADMIN": "true",
        "OODGUARD_STATE": state,
    }
    file = state / "drift-tiny@1.safetensors"
    with serving(tiny_bundle, tmp_path / "log", settings) as server:
        sent = [post(server, authorization=f"Bearer {limited.token}") for _ in range(20)]
        assert Counter(each.status_code for each in sent) == {200: 10, 429: 10}
        headers = {"authorization": f"Bearer {admin.token}"}
        reset = httpx2.post(f"{server.url}/admin/models/tiny/drift/reset", headers=headers).json()
        # Images of the last second are not observed yet.
        assert reset["resets"][0]["scores"]["images"] <= 10
        for _ in range(7):
            assert post(server, **headers).status_code == 200
        unknown = httpx2.post(f"{server.url}/admin/models/no/reload", headers=headers)
        assert unknown.status_code == 404
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(30) == 0
        # One stream: the evidence is about the images of all workers since the reset.
        assert load_file(file)["counts"].sum() == 7
        assert [each.name for each in state.iterdir() if each.is_dir()] == []
    with serving(tiny_bundle, tmp_path / "log", settings) as server:
        write_tiny(tiny_bundle, version="2")
        headers = {"authorization": f"Bearer {admin.token}"}
        answer = httpx2.post(f"{server.url}/admin/models/reload", headers=headers).json()
        assert [(each["version"], each["outcome"]) for each in answer["changes"]] == [
            ("2", "loaded")
        ]
        seen = {post(server, **headers).json()["model"]["version"] for _ in range(20)}
        assert seen == {"2"}


def test_workers_write_each_sample_once(tiny_bundle: Path, tmp_path: Path) -> None:
    samples = tmp_path / "samples"
    settings = {
        **WORKERS,
        "OODGUARD_SAMPLE_RATE": 1,
        "OODGUARD_SAMPLE_ACCEPT_RATE": 1,
        "OODGUARD_SAMPLE_TO": samples,
        "OODGUARD_SAMPLE_MAX_IMAGES": 25,
    }
    with serving(tiny_bundle, tmp_path / "log", settings) as server:
        ids = {post(server).json()["request_id"] for _ in range(30)}
        wait_until(lambda: counter(server, "oodguard_samples_total", outcome="kept") == 30)
        assert counter(server, "oodguard_samples_held") == 25
        records = [json.loads(each.read_text()) for each in samples.glob("*.json")]
        assert len(records) == 25
        assert {each["request_id"] for each in records} < ids


def test_workers_that_cannot_start_end_the_service_with_one_line(
    tiny_bundle: Path, tmp_path: Path
) -> None:
    (tiny_bundle / "model.onnx").write_bytes(b"")
    with start(tiny_bundle, tmp_path / "log", WORKERS, 0) as process:
        assert process.wait(60) == 1
    (line,) = (tmp_path / "log").read_text().splitlines()
    assert line.startswith("oodguard: ")
    assert "model.onnx" in line


def test_workers_end_when_the_supervisor_is_killed(service: RunningServer) -> None:
    processes = [*workers_of(service), *psutil.Process(service.process.pid).children()]
    service.process.kill()
    _, alive = psutil.wait_procs(processes, timeout=30)
    assert alive == []


def test_workers_second_signal_ends_all_of_them(tiny_bundle: Path, tmp_path: Path) -> None:
    with serving(tiny_bundle, tmp_path / "log", {**WORKERS, "OODGUARD_DRAIN_S": 600}) as service:
        end_with_two_signals(service)


def end_with_two_signals(service: RunningServer) -> None:
    processes = workers_of(service)
    service.process.send_signal(signal.SIGTERM)
    wait_until(lambda: not is_ready(service.url))
    assert post(service).status_code == 200
    service.process.send_signal(signal.SIGTERM)
    assert service.process.wait(30) == 128 + signal.SIGTERM
    _, alive = psutil.wait_procs(processes, timeout=30)
    assert alive == []


def test_workers_end_gracefully_when_the_zygote_is_killed(service: RunningServer) -> None:
    (zygote,) = psutil.Process(service.process.pid).children()
    processes = zygote.children()
    zygote.kill()
    assert service.process.wait(30) == 1
    assert "The process that starts the workers has ended." in service.log.read_text()
    _, alive = psutil.wait_procs(processes, timeout=30)
    assert alive == []
