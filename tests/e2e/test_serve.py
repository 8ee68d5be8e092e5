"""The whole path, from the command line to verdicts over a real socket and a clean end."""

import base64
import json
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import httpx2
import numpy as np
import pytest
from PIL import Image
from prometheus_client.parser import text_string_to_metric_families

from oodguard.service.settings import Settings
from tests.e2e.conftest import GIVE_UP_S, RunningServer, environment

PICTURE = next(iter(sorted((Path(__file__).parents[1] / "data" / "hands").glob("*.png"))))


def wait_for(condition: Callable[[], bool]) -> None:
    give_up = time.monotonic() + GIVE_UP_S
    while not condition():
        assert time.monotonic() < give_up
        time.sleep(0.01)


def four_ways(client: httpx2.Client) -> list[httpx2.Response]:
    encoded = PICTURE.read_bytes()
    pixels = np.asarray(Image.open(PICTURE).convert("RGB"))
    shape = ",".join(str(side) for side in (1, *pixels.shape))
    return [
        client.post("/predict", files={"files": (PICTURE.name, encoded)}),
        client.post("/predict", json={"images": [base64.b64encode(encoded).decode()]}),
        client.post("/predict", content=encoded, headers={"content-type": "image/png"}),
        client.post(
            "/predict",
            content=pixels.tobytes(),
            headers={"content-type": "application/octet-stream", "x-shape": shape},
        ),
    ]


def offline_prediction(bundle: Path) -> dict[str, object]:
    result = subprocess.run(
        [
            sys.executable,
            "-m",
            "oodguard.service",
            "predict",
            "--json",
            PICTURE,
            "--bundle",
            bundle,
        ],
        capture_output=True,
        text=True,
        check=True,
        env=environment(),
    )
    (prediction,) = json.loads(result.stdout)["predictions"]
    assert prediction.pop("file") == str(PICTURE)
    return dict(prediction)


def test_all_four_ways_answer_what_the_command_line_answers_and_are_counted(
    server: RunningServer,
) -> None:
    with httpx2.Client(base_url=server.url) as client:
        answers = four_ways(client)
        bad = client.post("/predict", files={"files": b"no image"})
        text = client.get("/metrics").text
    expected = offline_prediction(server.bundle)
    for answer in answers:
        assert answer.status_code == 200, answer.text
        assert answer.json()["predictions"] == [expected]
    assert bad.status_code == 400
    counted = {
        (sample.name, sample.labels.get("code"), sample.labels.get("decision")): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.labels.get("route") == "/predict" or "decision" in sample.labels
    }
    assert counted["oodguard_requests_total", "200", None] == 4
    assert counted["oodguard_requests_total", "400", None] == 1
    assert counted["oodguard_decisions_total", None, str(expected["decision"])] == 4


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_server_cleanly_with_nothing_but_json_in_its_log(
    server: RunningServer, sent: signal.Signals
) -> None:
    httpx2.get(f"{server.url}/healthz")
    server.process.send_signal(sent)
    assert server.process.wait(30) == 0
    lines = [json.loads(line) for line in server.log.read_text().splitlines()]
    assert {"/healthz"} <= {line.get("route") for line in lines}
    assert all("traceback" not in line for line in lines)


def test_a_request_in_flight_at_sigterm_is_answered(server: RunningServer) -> None:
    body = PICTURE.read_bytes()
    host, port = server.url.removeprefix("http://").split(":")
    head = (
        f"POST /predict HTTP/1.1\r\nHost: {host}\r\nContent-Type: image/png\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        connection.sendall(head.encode() + body[:100])
        # The server has begun to read this request once it has answered a later one.
        httpx2.get(f"{server.url}/healthz")
        server.process.send_signal(signal.SIGTERM)
        wait_until_refused(host, int(port))
        connection.sendall(body[100:])
        answer = connection.makefile("rb").read()
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b'"predictions"' in answer
    assert server.process.wait(30) == 0


def wait_until_refused(host: str, port: int) -> None:
    """Return once the server no longer takes connections: it drains."""
    pause = threading.Event()
    for _ in range(600):
        try:
            socket.create_connection((host, port), timeout=5).close()
        except OSError:
            return
        pause.wait(0.05)
    pytest.fail("the server went on taking connections")


def serve(bundle: Path, port: str) -> subprocess.CompletedProcess[str]:
    """Run a server that is to end by itself."""
    return subprocess.run(
        [sys.executable, "-m", "oodguard.service", "serve", "--port", port, "--bundle", bundle],
        capture_output=True,
        text=True,
        check=False,
        env=environment(),
    )


def test_a_refused_bundle_ends_the_command_before_a_port_is_bound(tiny_bundle: Path) -> None:
    with (tiny_bundle / "model.onnx").open("r+b") as file:
        first = file.read(1)
        file.seek(0)
        file.write(bytes([first[0] ^ 1]))
    # A port that is taken: were it bound first, the message would be another one.
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        result = serve(tiny_bundle, port)
    assert result.returncode == 1
    assert result.stderr.startswith("oodguard: ")
    assert "model.onnx" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_port_that_is_taken_is_said_in_one_line(tiny_bundle: Path, server: RunningServer) -> None:
    port = server.url.rpartition(":")[2]
    result = serve(tiny_bundle, port)
    assert result.returncode == 1
    *logged, line = result.stderr.splitlines()
    assert all(json.loads(each)["level"] in {"info", "warning"} for each in logged)
    assert line.startswith(f"oodguard: Cannot listen on 127.0.0.1 port {port}: ")


def test_who_finds_no_place_is_refused_at_the_door(server: RunningServer) -> None:
    port = int(server.url.rsplit(":", 1)[1])
    unfinished = (
        b"POST /predict HTTP/1.1\r\nHost: guard\r\n"
        b"Content-Type: image/png\r\nContent-Length: 9\r\n\r\n"
    )
    with ExitStack() as stack, httpx2.Client(base_url=server.url) as client:
        for _ in range(Settings().max_pending):
            connection = stack.enter_context(socket.create_connection(("127.0.0.1", port)))
            connection.sendall(unfinished)
        full = f"oodguard_requests_in_flight {Settings().max_pending}.0\n"
        wait_for(lambda: full in client.get("/metrics").text)
        body = PICTURE.read_bytes()
        refused = client.post("/predict", content=body, headers={"content-type": "image/png"})
        assert refused.status_code == 429
        wait_for(lambda: '"code":429' in server.log.read_text())
    lines = [json.loads(line) for line in server.log.read_text().splitlines()]
    (line,) = [each for each in lines if each.get("code") == 429]
    # The layers would have told which model was to judge.
    assert (line["shed"], line.get("model")) == ("overloaded", None)
