"""Inference requests are bounded in number and time like any others."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from starlette.testclient import TestClient

from oodguard.service.inference.session import ModelSession
from tests.service.checks import still_serves
from tests.service.conftest import MakeClient
from tests.service.gate import Gate
from tests.service.open_inference.speaking import (
    PATH,
    answered,
    images,
    post_binary,
    post_json,
    refused,
)
from tests.service.open_inference.speaking import pixels as plain
from tests.service.pictures import RED


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Iterator[Gate]:
    gate = Gate(monkeypatch)
    yield gate
    gate.opened.set()


def test_beyond_the_limit_in_flight_a_request_is_told_to_come_back(
    make_client: MakeClient, gate: Gate
) -> None:
    client = make_client(max_pending=1)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(post_binary, client, plain(RED))
        assert gate.entered.wait(20)
        second = post_binary(client, plain(RED))
        gate.opened.set()
        assert answered(first.result()).values["label"] == ["red"]
    assert "at most 1" in refused(second, 429)
    assert second.headers["retry-after"] == "1"
    still_serves(client)


def test_the_protocol_s_own_timeout_counts_in_microseconds(
    make_client: MakeClient, gate: Gate
) -> None:
    client = make_client(timeout_s=600, max_pending=1)
    for send in (post_json, post_binary):
        late = send(client, plain(RED), parameters={"timeout": 50_000})
        assert "no response within 0.05" in refused(late, 504)
    gate.opened.set()
    still_serves(client)


def test_it_lengthens_neither_the_header_s_nor_the_operator_s(
    make_client: MakeClient, gate: Gate
) -> None:
    parameters = {"timeout": 600_000_000}
    late = post_json(make_client(timeout_s=0.05), plain(RED), parameters=parameters)
    assert "no response within 0.05 s" in refused(late, 504)
    values = plain(RED)
    body = {"inputs": [images(values, data=values.tolist())], "parameters": parameters}
    headers = {"x-timeout-ms": "40"}
    late = make_client(timeout_s=600).post(PATH, json=body, headers=headers)
    assert "no response within 0.04 s" in refused(late, 504)
    gate.opened.set()


def test_a_wrong_timeout_header_is_refused(client: TestClient) -> None:
    response = client.post(PATH, content=b"{}", headers={"x-timeout-ms": "soon"})
    assert 'X-Timeout-Ms is "soon"' in refused(response, 422)


def test_a_failure_of_the_service_is_told_without_its_inside(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("a secret of the inside")

    monkeypatch.setattr(ModelSession, "_run", broken)
    assert "secret" not in refused(post_binary(client, plain(RED)), 500)
    monkeypatch.undo()
    still_serves(client)


def test_a_shadow_judges_the_same_images(make_client: MakeClient) -> None:
    client = make_client(shadow_model="tiny@1", shadow_share=1.0)
    values = np.concatenate([plain(RED)] * 3)
    answered(post_json(client, values))
    answered(post_binary(client, values))
    told = 'oodguard_shadow_images_total{agreement="same",model="tiny",version="1"} 6.0'
    # It is not waited for by whoever asked.
    assert any(told in client.get("/metrics").text for _ in range(200))
