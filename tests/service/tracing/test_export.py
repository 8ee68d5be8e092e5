"""Spans reach a receiver of OTLP over HTTP, and none holds the process up."""

import json
import logging
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from oodguard.service.telemetry.logs import JsonFormatter
from oodguard.service.telemetry.tracing import provider, shut_down
from tests.service.conftest import MakeClient
from tests.service.pictures import encode, plain


@dataclass(frozen=True, slots=True)
class Receiver:
    """What a receiver listens on, and what it has got."""

    url: str
    got: list[tuple[str, ExportTraceServiceRequest]] = field(default_factory=list)


@pytest.fixture(name="receiver")
def _receiver() -> Iterator[Receiver]:
    """A server that takes traces as OTLP/HTTP says: protobuf by POST to /v1/traces."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            assert self.headers["content-type"] == "application/x-protobuf"
            body = self.rfile.read(int(self.headers["content-length"]))
            receiver.got.append((self.path, ExportTraceServiceRequest.FromString(body)))
            answer = ExportTraceServiceResponse().SerializeToString()
            self.send_response(200)
            self.send_header("content-type", "application/x-protobuf")
            self.send_header("content-length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        receiver = Receiver(f"http://127.0.0.1:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield receiver
        server.shutdown()
        thread.join()


def test_the_variable_alone_sends_every_span_to_the_receiver(
    receiver: Receiver,
    make_client: MakeClient,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.url)
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test")
    client = make_client()
    with caplog.at_level(logging.INFO, "oodguard.access"):
        client.post("/predict", content=encode(plain()), headers={"content-type": "image/png"})
    # The end of the app sends what waits.
    client.__exit__()
    ((path, request),) = receiver.got
    assert path == "/v1/traces"
    (resource_spans,) = request.resource_spans
    told = {each.key: each.value.string_value for each in resource_spans.resource.attributes}
    assert told["service.name"] == "ood-guard"
    assert told["deployment.environment.name"] == "test"
    (scope_spans,) = resource_spans.scope_spans
    assert scope_spans.scope.name == "oodguard"
    spans = {span.name: span for span in scope_spans.spans}
    assert set(spans) == {"POST /predict", "decode", "queue", "run"}
    (record,) = [each for each in caplog.records if each.name == "oodguard.access"]
    line = json.loads(JsonFormatter().format(record))
    assert spans["POST /predict"].span_id.hex() == line["span_id"]
    assert {span.trace_id.hex() for span in spans.values()} == {line["trace_id"]}
    assert {spans[stage].parent_span_id.hex() for stage in ("decode", "queue", "run")} == {
        line["span_id"]
    }
    took_ns = {
        name: span.end_time_unix_nano - span.start_time_unix_nano for name, span in spans.items()
    }
    for stage in ("decode", "queue", "run"):
        # The log rounds to microseconds.
        assert took_ns[stage] / 1e6 == pytest.approx(line[f"{stage}_ms"], abs=0.001)


def test_the_service_s_name_is_the_operator_s_to_choose(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_SERVICE_NAME", "guard-eu")
    made = provider("7", Unhurried())
    assert made.resource.attributes["service.name"] == "guard-eu"
    assert made.resource.attributes["service.version"] == "7"
    made.shutdown()


class Unhurried(SpanExporter):
    """Does not come back from an export before it is told to."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.told = threading.Event()

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:  # noqa: ARG002
        self.begun.set()
        assert self.told.wait(20)
        return SpanExportResult.SUCCESS


def test_a_receiver_that_does_not_answer_does_not_hold_up_the_end() -> None:
    exporter = Unhurried()
    made = provider("1", exporter)
    made.get_tracer("tests").start_span("last").end()
    shut_down(made, within_s=0.05)
    assert exporter.begun.wait(20)
    assert not exporter.told.is_set()
    exporter.told.set()
