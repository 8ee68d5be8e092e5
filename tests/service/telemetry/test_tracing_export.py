"""Spans are exported over OTLP/HTTP, and an unresponsive receiver does not block shutdown."""

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

from oodguard.service.telemetry.tracing import Tracing, create_provider
from tests.service.checks import post
from tests.service.conftest import AccessLog, MakeClient
from tests.service.pictures import encode, plain


@dataclass(frozen=True, slots=True)
class Receiver:
    """The address of an OTLP receiver, and the requests that it received."""

    url: str
    received: list[tuple[str, ExportTraceServiceRequest]] = field(default_factory=list)


@pytest.fixture(name="receiver")
def _receiver() -> Iterator[Receiver]:
    """A server for OTLP over HTTP: protobuf by POST to /v1/traces."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            assert self.headers["content-type"] == "application/x-protobuf"
            body = self.rfile.read(int(self.headers["content-length"]))
            receiver.received.append((self.path, ExportTraceServiceRequest.FromString(body)))
            answer = ExportTraceServiceResponse().SerializeToString()
            self.send_response(200)
            self.send_header("content-type", "application/x-protobuf")
            self.send_header("content-length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
            """Log nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        receiver = Receiver(f"http://127.0.0.1:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield receiver
        server.shutdown()
        thread.join()


def test_tracing_exports_every_span_to_the_endpoint(
    receiver: Receiver,
    make_client: MakeClient,
    monkeypatch: pytest.MonkeyPatch,
    access_log: AccessLog,
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.url)
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test")
    client = make_client()
    post(client, encode(plain()))
    # The shutdown exports the remaining spans.
    client.__exit__()
    ((path, request),) = receiver.received
    assert path == "/v1/traces"
    (resource_spans,) = request.resource_spans
    resource = {each.key: each.value.string_value for each in resource_spans.resource.attributes}
    assert resource["service.name"] == "ood-guard"
    assert resource["deployment.environment.name"] == "test"
    (scope_spans,) = resource_spans.scope_spans
    assert scope_spans.scope.name == "oodguard"
    spans = {span.name: span for span in scope_spans.spans}
    assert set(spans) == {"POST /predict", "decode", "queue", "run"}
    (line,) = access_log()
    assert spans["POST /predict"].span_id.hex() == line["span_id"]
    assert {span.trace_id.hex() for span in spans.values()} == {line["trace_id"]}
    assert {spans[stage].parent_span_id.hex() for stage in ("decode", "queue", "run")} == {
        line["span_id"]
    }
    for stage in ("decode", "queue", "run"):
        duration_ns = spans[stage].end_time_unix_nano - spans[stage].start_time_unix_nano
        # The log rounds to microseconds.
        assert duration_ns / 1e6 == pytest.approx(line[f"{stage}_ms"], abs=0.001)


def test_tracing_service_name_is_configurable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_SERVICE_NAME", "guard-eu")
    provider = create_provider("7", Blocked())
    assert provider.resource.attributes["service.name"] == "guard-eu"
    assert provider.resource.attributes["service.version"] == "7"
    provider.shutdown()


class Blocked(SpanExporter):
    """An exporter that blocks until `released` is set."""

    def __init__(self) -> None:
        self.started = threading.Event()
        self.released = threading.Event()

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:  # noqa: ARG002
        self.started.set()
        assert self.released.wait(20)
        return SpanExportResult.SUCCESS


def test_tracing_shutdown_gives_up_after_its_timeout() -> None:
    exporter = Blocked()
    provider = create_provider("1", exporter)
    provider.get_tracer("tests").start_span("last").end()
    Tracing(provider, "1").close(timeout_s=0.05)
    assert exporter.started.wait(20)
    assert not exporter.released.is_set()
    exporter.released.set()
