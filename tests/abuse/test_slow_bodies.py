"""Clients that do not finish their bodies do not exclude other clients."""

import socket
from contextlib import ExitStack
from pathlib import Path

import httpx2
import pytest

from oodguard.service.settings import Settings
from tests.abuse.case import request
from tests.e2e.conftest import serving, wait_until
from tests.service.pictures import encode, plain


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_slow_bodies_do_not_exclude_other_requests(
    tiny_bundle: Path, tmp_path: Path, workers: int
) -> None:
    settings = {"OODGUARD_BODY_TIMEOUT_S": 2, "OODGUARD_WORKERS": workers}
    picture = encode(plain())
    unfinished = request(b"x", "image/png", length=2**20)
    with (
        serving(tiny_bundle, tmp_path / "log", settings) as server,
        httpx2.Client(base_url=server.url) as client,
        ExitStack() as stack,
    ):
        slow = [
            stack.enter_context(socket.create_connection(server.address, timeout=30))
            for _ in range(Settings().max_pending + 20)
        ]
        for connection in slow:
            connection.sendall(unfinished)
        for _ in range(20):
            response = client.post(
                "/predict", content=picture, headers={"content-type": "image/png"}
            )
            assert response.status_code == 200
        for connection in slow:
            answer = connection.makefile("rb").read()
            assert answer.startswith(b"HTTP/1.1 408 Request Timeout\r\n")
            assert b"\r\nconnection: close\r\n" in answer
        wait_until(lambda: "oodguard_requests_in_flight 0.0\n" in client.get("/metrics").text)
