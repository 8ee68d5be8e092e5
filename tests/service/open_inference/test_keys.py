"""Where keys are wanted, the protocol's clients are told so in its shape; its health is open."""

from pathlib import Path

import pytest
from starlette.testclient import TestClient

from tests.service.api_keys import IssuedKey, write_key_file
from tests.service.conftest import MakeClient
from tests.service.open_inference.speaking import answered, post_binary, refused
from tests.service.open_inference.speaking import pixels as plain
from tests.service.pictures import RED

PREDICT = IssuedKey.create("predict", key_id="asks")
METRICS = IssuedKey.create("metrics", key_id="watches")


@pytest.fixture
def keyed(make_client: MakeClient, tmp_path: Path) -> TestClient:
    return make_client(keys_file=write_key_file(tmp_path / "keys.toml", PREDICT, METRICS))


def test_without_a_key_only_health_is_told(keyed: TestClient) -> None:
    assert keyed.get("/v2/health/live").json() == {"live": True}
    assert keyed.get("/v2/health/ready").json() == {"ready": True}
    for path in ("/v2", "/v2/models/tiny", "/v2/models/tiny/ready", "/v2/nothing"):
        response = keyed.get(path)
        refused(response, 401)
        assert response.headers["www-authenticate"].startswith("Bearer")
    refused(post_binary(keyed, plain(RED)), 401)


def test_a_key_with_the_role_is_answered_and_another_one_is_refused(keyed: TestClient) -> None:
    keyed.headers.update(METRICS.headers)
    assert "predict" in refused(post_binary(keyed, plain(RED)), 403)
    keyed.headers.update(PREDICT.headers)
    assert answered(post_binary(keyed, plain(RED))).values["label"] == ["red"]
    assert keyed.get("/v2").json()["name"] == "ood-guard"
