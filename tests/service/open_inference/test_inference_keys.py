"""API keys under /v2: errors in the protocol's format, and health without a key."""

from pathlib import Path

import pytest
from starlette.testclient import TestClient

from tests.service.api_keys import IssuedKey, write_key_file
from tests.service.conftest import MakeClient
from tests.service.open_inference.inference_client import error_of, parsed, pixels, post_binary
from tests.service.pictures import RED

PREDICT = IssuedKey.create("predict", key_id="asks")
METRICS = IssuedKey.create("metrics", key_id="watches")


@pytest.fixture
def keyed(make_client: MakeClient, tmp_path: Path) -> TestClient:
    return make_client(keys_file=write_key_file(tmp_path / "keys.toml", PREDICT, METRICS))


def test_health_needs_no_key_and_other_routes_return_401(keyed: TestClient) -> None:
    assert keyed.get("/v2/health/live").json() == {"live": True}
    assert keyed.get("/v2/health/ready").json() == {"ready": True}
    for path in ("/v2", "/v2/models/tiny", "/v2/models/tiny/ready", "/v2/nothing"):
        response = keyed.get(path)
        error_of(response, 401)
        assert response.headers["www-authenticate"].startswith("Bearer")
    error_of(post_binary(keyed, pixels(RED)), 401)


def test_infer_requires_a_key_with_the_role_predict(keyed: TestClient) -> None:
    keyed.headers.update(METRICS.headers)
    assert "predict" in error_of(post_binary(keyed, pixels(RED)), 403)
    keyed.headers.update(PREDICT.headers)
    assert parsed(post_binary(keyed, pixels(RED))).values["label"] == ["red"]
    assert keyed.get("/v2").json()["name"] == "ood-guard"
