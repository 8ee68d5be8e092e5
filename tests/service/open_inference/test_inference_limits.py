"""Limits, deadlines, API keys, errors and shadow traffic of inference requests."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from starlette.testclient import TestClient

from oodguard.service.inference.session import ModelSession
from tests.e2e.conftest import wait_until
from tests.service.checks import metric, still_serves
from tests.service.conftest import Gate, Issued, MakeClient
from tests.service.open_inference.inference_client import (
    PATH,
    error_of,
    images,
    parsed,
    pixels,
    post_binary,
    post_json,
)
from tests.service.pictures import RED
from tests.service.tiny import write_tiny


def test_infer_returns_429_over_the_concurrency_limit(make_client: MakeClient, gate: Gate) -> None:
    client = make_client(max_pending=1)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(post_binary, client, pixels(RED))
        assert gate.entered.wait(20)
        second = post_binary(client, pixels(RED))
        gate.opened.set()
        assert parsed(first.result()).values["label"] == ["red"]
    assert "at most 1" in error_of(second, 429)
    assert second.headers["retry-after"] == "1"
    still_serves(client)


def test_infer_timeout_parameter_is_in_microseconds(make_client: MakeClient, gate: Gate) -> None:
    client = make_client(timeout_s=600, max_pending=1)
    for send in (post_json, post_binary):
        late = send(client, pixels(RED), parameters={"timeout": 50_000})
        assert "no response within 0.05" in error_of(late, 504)
    gate.opened.set()
    still_serves(client)


def test_infer_timeout_parameter_extends_neither_the_header_nor_the_setting(
    make_client: MakeClient, gate: Gate
) -> None:
    parameters = {"timeout": 600_000_000}
    late = post_json(make_client(timeout_s=0.05), pixels(RED), parameters=parameters)
    assert "no response within 0.05 s" in error_of(late, 504)
    values = pixels(RED)
    body = {"inputs": [images(values, data=values.tolist())], "parameters": parameters}
    headers = {"x-timeout-ms": "40"}
    late = make_client(timeout_s=600).post(PATH, json=body, headers=headers)
    assert "no response within 0.04 s" in error_of(late, 504)
    gate.opened.set()


def test_infer_internal_error_has_no_details(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("an internal secret")

    with monkeypatch.context() as patch:
        patch.setattr(ModelSession, "_run", broken)
        assert "secret" not in error_of(post_binary(client, pixels(RED)), 500)


def test_infer_requires_a_key_with_the_role_predict(secured: TestClient, issued: Issued) -> None:
    for path in ("/v2", "/v2/models/tiny", "/v2/models/tiny/ready", "/v2/nothing"):
        response = secured.get(path)
        error_of(response, 401)
        assert response.headers["www-authenticate"].startswith("Bearer")
    error_of(post_binary(secured, pixels(RED)), 401)
    secured.headers.update(issued["metrics"].headers)
    assert "predict" in error_of(post_binary(secured, pixels(RED)), 403)
    secured.headers.update(issued["predict"].headers)
    assert parsed(post_binary(secured, pixels(RED))).values["label"] == ["red"]


def test_infer_requests_are_predicted_by_the_shadow_model(
    make_client: MakeClient, tmp_path: Path
) -> None:
    for version in ("1", "2"):
        write_tiny(tmp_path / "models" / version, name="tiny", version=version)
    client = make_client(
        models=tmp_path / "models", default_model="tiny@2", shadow_model="tiny@1", shadow_share=1.0
    )
    values = np.concatenate([pixels(RED)] * 3)
    parsed(post_json(client, values))
    parsed(post_binary(client, values))
    # No response waits for the shadow model.
    name, same = "oodguard_shadow_images_total", {"agreement": "same"}
    wait_until(lambda: metric(client.get("/metrics").text, name, **same) == 6)
