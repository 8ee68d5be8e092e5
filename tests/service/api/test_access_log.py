"""The access log: request ids, and one line for each request."""

import io
import json
import logging
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from oodguard.service.registry.deployment import Deployment
from oodguard.service.registry.registry import ModelRegistry
from oodguard.service.telemetry.logs import JsonFormatter
from tests.service.api_keys import IssuedKey, write_key_file
from tests.service.checks import post, problem
from tests.service.conftest import AccessLog, Issued, MakeClient
from tests.service.pictures import RED, WHITE, encode, plain


@pytest.mark.parametrize("received", ["abc-1", "A" * 64, "trace.7_b"])
def test_request_id_of_the_client_is_used_and_returned(client: TestClient, received: str) -> None:
    response = client.get("/healthz", headers={"x-request-id": received})
    assert response.headers["x-request-id"] == received


@pytest.mark.parametrize("received", ["", "A" * 65, "a b", 'a"b', "a\tb", "é", "<script>"])
def test_invalid_request_id_is_replaced(client: TestClient, received: str) -> None:
    response = client.get("/healthz", headers={b"x-request-id": received.encode("latin-1")})
    assert len(response.headers["x-request-id"]) == 32
    int(response.headers["x-request-id"], 16)


def test_new_request_ids_do_not_count_requests(client: TestClient) -> None:
    ids = [client.get("/healthz").headers["x-request-id"] for _ in range(3)]
    # Two of three random ids agree in their first half with a probability of 2 ** -62.
    assert len({each[:16] for each in ids}) == 3


def test_access_log_line_has_the_images_and_rejections_of_a_request(
    client: TestClient, access_log: AccessLog
) -> None:
    files = [("files", encode(plain(colour))) for colour in (RED, WHITE, WHITE)]
    client.post("/predict", files=files, headers={"x-request-id": "one"})
    (line,) = access_log()
    stages = [line.pop(name) for name in ("decode_ms", "queue_ms", "run_ms")]
    assert line.pop("duration_ms") >= sum(stages) > 0
    assert line.pop("time").endswith("+00:00")
    assert line == {
        "level": "info",
        "logger": "oodguard.access",
        "message": "request",
        "request_id": "one",
        "model": "tiny",
        "version": "1",
        "method": "POST",
        "route": "/predict",
        "code": 200,
        "images": 3,
        "rejected": 2,
    }


def test_access_log_line_of_a_rejected_request_has_the_problem_and_its_stages(
    client: TestClient, access_log: AccessLog
) -> None:
    post(client, b"no image")
    (line,) = access_log()
    assert (line["code"], line["problem"], line["images"]) == (400, "undecodable-image", 0)
    assert line["decode_ms"] > 0
    assert not {"queue_ms", "run_ms", "shed"} & line.keys()


def test_access_log_line_of_a_shed_request_has_the_reason(
    make_client: MakeClient, access_log: AccessLog
) -> None:
    post(make_client(max_pending_bytes=7), b"8 bytes.")
    (line,) = access_log()
    assert (line["code"], line["problem"], line["shed"]) == (429, "overloaded", "overloaded")
    assert (line["model"], line["version"]) == ("tiny", "1")


PROXY, CLIENT = "10.0.0.1", "198.51.100.1"


@pytest.mark.parametrize("trusted", [True, False])
def test_access_log_line_of_a_denied_request_has_the_key_and_the_client(
    make_secured: MakeClient,
    issued: Issued,
    access_log: AccessLog,
    key_file: Path,
    *,
    trusted: bool,
) -> None:
    revoked = IssuedKey.create("predict", key_id="revoked")
    slow = IssuedKey.create("predict", key_id="slow", requests_per_minute=1)
    write_key_file(key_file, *issued.values(), slow)
    app = make_secured(trusted_proxies="10.0.0.0/8" if trusted else None).app
    client = TestClient(app, client=(PROXY, 50000), raise_server_exceptions=False)
    sent = [{}, revoked.headers, issued["metrics"].headers, slow.headers, slow.headers]
    for headers in sent:
        post(client, encode(plain()), **headers, **{"x-forwarded-for": f"192.0.2.1, {CLIENT}"})
    address = CLIENT if trusted else PROXY
    # An address identifies a person: it is not in the line of a request that succeeds.
    assert [(line["code"], line.get("key"), line.get("client")) for line in access_log()] == [
        (401, None, address),
        (401, "revoked", address),
        (403, "the-metrics", address),
        (200, "slow", None),
        (429, "slow", address),
    ]
    secrets = [key.token[-43:] for key in (revoked, slow, issued["metrics"])]
    assert not any(secret in json.dumps(access_log()) for secret in secrets)


def test_log_lines_within_a_request_have_its_id(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    handler.setFormatter(JsonFormatter())
    logger = logging.getLogger("tests.logs")

    def broken(_registry: ModelRegistry) -> list[Deployment]:
        logger.error("it broke")
        raise RuntimeError("it broke")

    monkeypatch.setattr(ModelRegistry, "deployments", broken)
    logger.addHandler(handler)
    try:
        answer = client.get("/models", headers={"x-request-id": "seven"})
        logger.error("outside")
    finally:
        logger.removeHandler(handler)
    within, outside = (json.loads(line) for line in written.getvalue().splitlines())
    assert problem(answer, 500, "internal-error").request_id == "seven"
    assert within["request_id"] == "seven"
    assert "request_id" not in outside


def test_log_line_contains_the_traceback(caplog: pytest.LogCaptureFixture) -> None:
    logger = logging.getLogger("tests.logs")
    try:
        raise ValueError("line one\nline two")
    except ValueError:
        logger.exception("it broke")
    text = JsonFormatter().format(caplog.records[-1])
    assert "\n" not in text
    assert "ValueError: line one\nline two" in json.loads(text)["traceback"]
