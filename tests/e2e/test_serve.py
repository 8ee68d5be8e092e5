"""The service from the command line to verdicts over a socket and its exit."""

import base64
import json
import signal
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2
import numpy as np
import pytest
from PIL import Image

from tests.e2e.conftest import RunningServer, counter, environment, serving, wait_until

PICTURE = next(iter(sorted((Path(__file__).parents[1] / "data" / "hands").glob("*.png"))))


def post_every_form(client: httpx2.Client) -> list[httpx2.Response]:
    encoded = PICTURE.read_bytes()
    pixels = np.asarray(Image.open(PICTURE).convert("RGB"))
    shape = ",".join(str(side) for side in (1, *pixels.shape))
    raw = {"content-type": "application/octet-stream", "x-shape": shape}
    return [
        client.post("/predict", files={"files": (PICTURE.name, encoded)}),
        client.post("/predict", json={"images": [base64.b64encode(encoded).decode()]}),
        client.post("/predict", content=encoded, headers={"content-type": "image/png"}),
        client.post("/predict", content=pixels.tobytes(), headers=raw),
    ]


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run the command line of the service until it exits."""
    return subprocess.run(
        [sys.executable, "-m", "oodguard.service", *arguments],
        capture_output=True,
        text=True,
        check=False,
        env=environment(),
    )


def log_lines(server: RunningServer) -> list[dict[str, object]]:
    return [json.loads(line) for line in server.log.read_text().splitlines()]


def test_every_request_form_gets_the_offline_prediction(server: RunningServer) -> None:
    with httpx2.Client(base_url=server.url) as client:
        responses = post_every_form(client)
        invalid = client.post("/predict", files={"files": b"no image"})
    (expected,) = json.loads(run("predict", "--json", PICTURE, "--bundle", server.bundle).stdout)[
        "predictions"
    ]
    assert expected.pop("file") == str(PICTURE)
    for response in responses:
        assert response.status_code == 200, response.text
        assert response.json()["predictions"] == [expected]
    assert invalid.status_code == 400
    assert counter(server, "oodguard_requests_total", route="/predict", code="200") == 4
    assert counter(server, "oodguard_requests_total", route="/predict", code="400") == 1
    assert counter(server, "oodguard_decisions_total", decision=expected["decision"]) == 4


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_ends_the_server_cleanly_with_json_lines_only_in_its_log(
    server: RunningServer, number: signal.Signals
) -> None:
    httpx2.get(f"{server.url}/healthz")
    server.process.send_signal(number)
    assert server.process.wait(30) == 0
    lines = log_lines(server)
    assert {"/healthz"} <= {line.get("route") for line in lines}
    assert all("traceback" not in line for line in lines)


def is_accepting(server: RunningServer) -> bool:
    try:
        socket.create_connection(server.address, timeout=5).close()
    except OSError:
        return False
    return True


def test_graceful_shutdown_answers_a_request_in_flight(server: RunningServer) -> None:
    body = PICTURE.read_bytes()
    head = (
        "POST /predict HTTP/1.1\r\nHost: guard\r\nContent-Type: image/png\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )

    with socket.create_connection(server.address, timeout=30) as connection:
        connection.sendall(head.encode() + body[:100])
        # The server has started to read this request once it has answered a later one.
        httpx2.get(f"{server.url}/healthz")
        server.process.send_signal(signal.SIGTERM)
        wait_until(lambda: not is_accepting(server))
        connection.sendall(body[100:])
        response = connection.makefile("rb").read()
    assert response.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b'"predictions"' in response
    assert server.process.wait(30) == 0


def test_serve_command_rejects_a_corrupt_bundle_before_it_binds_the_port(tiny_bundle: Path) -> None:
    with (tiny_bundle / "model.onnx").open("ab") as file:
        file.write(b"more")
    # The port is in use: if it were bound first, the error would be another one.
    with socket.socket() as used:
        used.bind(("127.0.0.1", 0))
        used.listen()
        port = str(used.getsockname()[1])
        result = run("serve", "--port", port, "--bundle", tiny_bundle)
    assert result.returncode == 1
    assert result.stderr.startswith("oodguard: ")
    assert "model.onnx" in result.stderr


def test_serve_command_reports_a_port_in_use(tiny_bundle: Path, server: RunningServer) -> None:
    result = run("serve", "--port", str(server.port), "--bundle", tiny_bundle)
    assert result.returncode == 1
    *logged, line = result.stderr.splitlines()
    assert all(json.loads(each)["level"] in {"info", "warning"} for each in logged)
    assert line.startswith(f"oodguard: Cannot listen on 127.0.0.1 port {server.port}: ")


def test_early_load_shedding_returns_429_at_the_concurrency_limit(
    tiny_bundle: Path, tmp_path: Path
) -> None:
    files = [("files", PICTURE.read_bytes())] * 64
    with (
        serving(tiny_bundle, tmp_path / "log", {"OODGUARD_MAX_PENDING": 1}) as server,
        httpx2.Client(base_url=server.url) as client,
        ThreadPoolExecutor(4) as pool,
    ):

        def early() -> list[dict[str, object]]:
            codes = set(
                pool.map(lambda _: client.post("/predict", files=files).status_code, "1234")
            )
            assert codes <= {200, 429}
            # The full stack would have added the model to the line.
            return [
                each
                for each in log_lines(server)
                if each.get("code") == 429 and "model" not in each
            ]

        wait_until(lambda: bool(early()))
        assert {line["shed"] for line in early()} == {"overloaded"}
