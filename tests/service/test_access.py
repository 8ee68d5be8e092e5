"""Each request has an id and one line in the log."""

import json
import logging

import pytest
from starlette.testclient import TestClient

from service.logs import JsonFormatter
from tests.service.pictures import RED, WHITE, encode, plain


@pytest.mark.parametrize("offered", ["abc-1", "A" * 64, "trace.7_b"])
def test_a_plain_id_is_taken_and_returned(client: TestClient, offered: str) -> None:
    response = client.get("/healthz", headers={"x-request-id": offered})
    assert response.headers["x-request-id"] == offered


@pytest.mark.parametrize("offered", ["", "A" * 65, "a b", 'a"b', "a\tb", "é", "<script>"])
def test_any_other_id_is_replaced_by_a_new_one(client: TestClient, offered: str) -> None:
    response = client.get("/healthz", headers={b"x-request-id": offered.encode("latin-1")})
    assert len(response.headers["x-request-id"]) == 32
    int(response.headers["x-request-id"], 16)


def test_two_requests_get_two_ids(client: TestClient) -> None:
    ids = {client.get("/healthz").headers["x-request-id"] for _ in range(2)}
    assert len(ids) == 2


def test_a_request_is_one_json_line_with_its_images_and_rejections(
    client: TestClient, caplog: pytest.LogCaptureFixture
) -> None:
    files = [("files", encode(plain(colour))) for colour in (RED, WHITE, WHITE)]
    with caplog.at_level(logging.INFO, "oodguard.access"):
        client.post("/predict", files=files, headers={"x-request-id": "one"})
    (record,) = [record for record in caplog.records if record.name == "oodguard.access"]
    line = json.loads(JsonFormatter().format(record))
    took = [line.pop(name) for name in ("decode_ms", "queue_ms", "run_ms")]
    assert line.pop("duration_ms") >= sum(took) > 0
    assert line.pop("time").endswith("+00:00")
    assert line == {
        "level": "info",
        "logger": "oodguard.access",
        "message": "request",
        "request_id": "one",
        "method": "POST",
        "route": "/predict",
        "code": 200,
        "images": 3,
        "rejected": 2,
    }


def test_an_error_s_traceback_is_within_the_line(caplog: pytest.LogCaptureFixture) -> None:
    logger = logging.getLogger("tests.logs")
    try:
        raise ValueError("line one\nline two")
    except ValueError:
        logger.exception("it broke")
    text = JsonFormatter().format(caplog.records[-1])
    assert "\n" not in text
    assert "ValueError: line one\nline two" in json.loads(text)["traceback"]
