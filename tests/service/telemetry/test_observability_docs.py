"""docs/observability.md lists exactly the fields of the access log and the span attributes."""

import re

from starlette.datastructures import Headers
from starlette.testclient import TestClient

from oodguard.service.api.access_log import STATE_FIELDS
from oodguard.service.telemetry.tracing import request_attributes, response_attributes
from tests.service.checks import DOCS, post
from tests.service.conftest import AccessLog
from tests.service.pictures import encode, plain


def documented(heading: str) -> set[str]:
    """The names in the first column of a section's table."""
    text = (DOCS / "observability.md").read_text(encoding="utf-8")
    section = text.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    cells = re.findall(r"^\| (`.+?) \|", section, re.MULTILINE)
    return {name for cell in cells for name in re.findall(r"`([^`]+)`", cell)}


def test_access_log_fields_are_documented(client: TestClient, access_log: AccessLog) -> None:
    post(client, encode(plain()))
    (line,) = access_log()
    every_line = {"time", "level", "logger", "message"}
    assert (
        documented("The log")
        == {*line, *STATE_FIELDS, "client", "trace_id", "span_id"} - every_line
    )


def test_span_attributes_are_documented() -> None:
    state = {"request_id": "r", "images": 0, "rejected": 0, **dict.fromkeys(STATE_FIELDS, "x")}
    scope = {
        "method": "BREW",
        "path": "/predict",
        "scheme": "http",
        "http_version": "1.1",
        "server": ("127.0.0.1", 8000),
        "state": state,
    }
    headers = Headers({"user-agent": "x"})
    found = {**request_attributes(scope, headers), **response_attributes("/predict", 504, state)}
    assert documented("OpenTelemetry") == set(found)
