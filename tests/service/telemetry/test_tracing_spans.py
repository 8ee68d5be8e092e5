from collections.abc import Mapping

import pytest
from fastapi import FastAPI
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.semconv.attributes import (
    error_attributes,
    http_attributes,
    network_attributes,
    server_attributes,
    url_attributes,
    user_agent_attributes,
)
from opentelemetry.trace import SpanKind, StatusCode

from tests.service.checks import post, post_pixels
from tests.service.conftest import AccessLog, Gate
from tests.service.pictures import WHITE, encode, plain
from tests.service.telemetry.conftest import Traced

# The example of the W3C recommendation: https://www.w3.org/TR/trace-context/#traceparent-header
TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
PARENT_ID = "b7ad6b7169203331"


def attributes(span: ReadableSpan) -> Mapping[str, object]:
    return dict(span.attributes or {})


def times(span: ReadableSpan) -> tuple[int, int]:
    assert span.start_time is not None
    assert span.end_time is not None
    return span.start_time, span.end_time


def test_tracing_request_has_a_server_span_with_semantic_conventions(traced: Traced) -> None:
    headers = {"user-agent": "guard-test/1", "x-request-id": "one"}
    post(traced.client, encode(plain(WHITE)), path="/predict?secret=1", **headers)
    span = traced.server_span()
    assert span.name == "POST /predict"
    assert span.kind is SpanKind.SERVER
    assert span.status.status_code is StatusCode.UNSET
    assert attributes(span) == {
        http_attributes.HTTP_REQUEST_METHOD: "POST",
        http_attributes.HTTP_RESPONSE_STATUS_CODE: 200,
        http_attributes.HTTP_ROUTE: "/predict",
        network_attributes.NETWORK_PROTOCOL_VERSION: "1.1",
        server_attributes.SERVER_ADDRESS: "testserver",
        server_attributes.SERVER_PORT: 80,
        url_attributes.URL_PATH: "/predict",
        url_attributes.URL_SCHEME: "http",
        user_agent_attributes.USER_AGENT_ORIGINAL: "guard-test/1",
        "oodguard.request_id": "one",
        "oodguard.model": "tiny",
        "oodguard.version": "1",
        "oodguard.images": 1,
        "oodguard.rejected": 1,
    }


def test_tracing_stages_are_consecutive_within_the_server_span(traced: Traced) -> None:
    post(traced.client, encode(plain()))
    server = traced.server_span()
    decode, queue, run = traced.stages()
    assert [each.name for each in (decode, queue, run)] == ["decode", "queue", "run"]
    for each in (decode, queue, run):
        assert each.parent is not None
        assert each.parent.span_id == server.context.span_id
        assert each.kind is SpanKind.INTERNAL
    begin, end = times(server)
    moments = [begin, *times(decode), *times(queue), *times(run), end]
    assert moments == sorted(moments)
    # The run starts when the queue ends.
    assert times(queue)[1] == times(run)[0]
    assert times(run)[1] > times(run)[0]


def test_tracing_has_a_span_for_each_run(traced: Traced) -> None:
    traced.client.post("/predict", files=[("files", encode(plain()))] * 5)
    runs = [each for each in traced.stages() if each.name == "run"]
    assert [attributes(each) for each in runs] == [
        {"oodguard.batch_images": images} for images in (2, 2, 1)
    ]


def test_tracing_has_no_decode_span_for_raw_pixels(traced: Traced) -> None:
    post_pixels(traced.client, bytes(192), "1,8,8,3")
    assert [each.name for each in traced.stages()] == ["queue", "run"]


def test_tracing_continues_the_trace_of_traceparent(traced: Traced, access_log: AccessLog) -> None:
    post(traced.client, encode(plain()), traceparent=f"00-{TRACE_ID}-{PARENT_ID}-01")
    span = traced.server_span()
    assert f"{span.context.trace_id:032x}" == TRACE_ID
    assert span.parent is not None
    assert f"{span.parent.span_id:016x}" == PARENT_ID
    assert {each.context.trace_id for each in traced.spans()} == {int(TRACE_ID, 16)}
    (line,) = access_log()
    assert line["trace_id"] == TRACE_ID
    assert line["span_id"] == f"{span.context.span_id:016x}"


@pytest.mark.parametrize(
    "traceparent",
    ["", "00", f"00-{'0' * 32}-{PARENT_ID}-01", f"ff-{TRACE_ID}-{PARENT_ID}-01", "x" * 10_000],
)
def test_tracing_starts_new_trace_for_invalid_traceparent(traced: Traced, traceparent: str) -> None:
    traced.client.post("/predict", headers={"traceparent": traceparent})
    span = traced.server_span()
    assert span.parent is None
    assert span.context.trace_id not in {0, int(TRACE_ID, 16)}


def test_tracing_does_not_export_unsampled_requests_but_logs_their_trace_id(
    traced: Traced, access_log: AccessLog
) -> None:
    post(traced.client, encode(plain()), traceparent=f"00-{TRACE_ID}-{PARENT_ID}-00")
    assert traced.spans() == []
    assert [line["trace_id"] for line in access_log()] == [TRACE_ID]


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics"])
def test_tracing_skips_probes_and_scrapes(traced: Traced, access_log: AccessLog, path: str) -> None:
    assert traced.client.get(path).status_code == 200
    assert traced.spans() == []
    assert ["trace_id" in line for line in access_log()] == [False]


def test_tracing_records_a_4xx_problem_without_an_error_status(traced: Traced) -> None:
    post(traced.client, b"no image")
    span = traced.server_span()
    assert span.status.status_code is StatusCode.UNSET
    found = attributes(span)
    assert found[http_attributes.HTTP_RESPONSE_STATUS_CODE] == 400
    assert found["oodguard.problem"] == "undecodable-image"
    assert error_attributes.ERROR_TYPE not in found
    assert [each.name for each in traced.stages()] == ["decode"]


def test_tracing_ends_an_unfinished_run_with_the_request(gate: Gate, traced: Traced) -> None:
    post(traced.client, encode(plain()), **{"x-timeout-ms": "1000"})
    assert gate.entered.is_set()
    gate.opened.set()
    span = traced.server_span()
    assert span.status.status_code is StatusCode.ERROR
    found = attributes(span)
    assert found[error_attributes.ERROR_TYPE] == "deadline-exceeded"
    assert found["oodguard.shed"] == "late"
    run = traced.stages()[-1]
    assert run.name == "run"
    assert times(run)[1] == times(span)[1]


def test_tracing_does_not_name_an_unknown_method(traced: Traced) -> None:
    traced.client.request("BREW", "/predict")
    span = traced.server_span()
    found = attributes(span)
    assert span.name == "HTTP /predict"
    assert found[http_attributes.HTTP_REQUEST_METHOD] == "_OTHER"
    assert found[http_attributes.HTTP_REQUEST_METHOD_ORIGINAL] == "BREW"


def test_tracing_truncates_client_values_of_an_unknown_path(traced: Traced) -> None:
    traced.client.get("/" + "p" * 5000, headers={"user-agent": "u" * 5000})
    span = traced.server_span()
    found = attributes(span)
    assert span.name == "GET"
    assert http_attributes.HTTP_ROUTE not in found
    assert found[url_attributes.URL_PATH] == "/" + "p" * 255
    assert found[user_agent_attributes.USER_AGENT_ORIGINAL] == "u" * 256


def test_tracing_disables_the_early_429(traced: Traced) -> None:
    assert isinstance(traced.client.app, FastAPI)
    assert traced.client.app.state.load_shedding is None
