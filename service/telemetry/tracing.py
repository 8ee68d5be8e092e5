"""Trace requests with OpenTelemetry: a server span per request, and a child span per stage.

The only module that imports the OpenTelemetry SDK. The span is ours instead of FastAPI's
`telemetry=`, because that one records the query string, marks client disconnects as errors and
replaces `error.type`, at the same cost without stages: docs/decisions/0018-observability.md.
"""

import threading
import time
from collections.abc import Mapping
from typing import Any

from opentelemetry import propagate
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.trace import SpanKind, StatusCode, Tracer, format_span_id, format_trace_id
from opentelemetry.trace.propagation import set_span_in_context
from opentelemetry.util.types import AttributeValue
from starlette.datastructures import Headers
from starlette.types import Scope

from oodguard.service.inference.queue import Timings

SERVICE_NAME = "ood-guard"

SCHEMA_URL = "https://opentelemetry.io/schemas/1.44.0"

METHODS = frozenset(
    {"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "QUERY", "TRACE"}
)

# A span for each probe and scrape would outnumber those of the requests.
UNTRACED = frozenset({"/healthz", "/readyz", "/metrics", "/v2/health/live", "/v2/health/ready"})

# Spans wait in memory for their export, so client-controlled values are truncated.
MAX_VALUE_LENGTH = 256

SHUTDOWN_TIMEOUT_S = 5.0

Attributes = dict[str, AttributeValue]


def create_provider(version: str, exporter: SpanExporter | None = None) -> TracerProvider:
    """Create a provider that exports spans in batches from a background thread.

    Spans are dropped if they arrive faster than they can be exported; requests never wait.

    Args:
        version: The service's version.
        exporter: Exports the spans; by default to the receiver that the OTEL_* variables name.
    """
    configured = OTELResourceDetector().detect().attributes
    resource = {"service.name": SERVICE_NAME, "service.version": version, **configured}
    provider = TracerProvider(resource=Resource.create(resource), shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(exporter or OTLPSpanExporter()))
    return provider


class Tracing:
    """Start a span for each request, as a child of the span in its `traceparent` header."""

    def __init__(self, provider: TracerProvider, version: str) -> None:
        self._provider = provider
        self._tracer = provider.get_tracer("oodguard", version, schema_url=SCHEMA_URL)

    def begin(self, scope: Scope) -> "RequestSpan | None":
        """Start a request's span; return None if its path is not traced."""
        return None if scope["path"] in UNTRACED else RequestSpan(self._tracer, scope)

    def close(self, timeout_s: float = SHUTDOWN_TIMEOUT_S) -> None:
        """Export the remaining spans, or give up after the timeout."""
        thread = threading.Thread(target=self._provider.shutdown, name="tracing", daemon=True)
        thread.start()
        thread.join(timeout_s)


class RequestSpan:
    """The server span of one request.

    All times are read from the monotonic clock, so that the stages are within the span even if the
    wall clock is adjusted meanwhile.

    Attributes:
        ids: Trace id and span id by their names in the log.
    """

    def __init__(self, tracer: Tracer, scope: Scope) -> None:
        headers = Headers(scope=scope)
        self._tracer = tracer
        self._scope = scope
        self._wall_ns = time.time_ns() - time.monotonic_ns()
        self._span = tracer.start_span(
            _span_name(scope, None),
            propagate.extract(headers),
            SpanKind.SERVER,
            request_attributes(scope, headers),
            start_time=self._wall_ns + time.monotonic_ns(),
        )
        context = self._span.get_span_context()
        self.ids = {
            "trace_id": format_trace_id(context.trace_id),
            "span_id": format_span_id(context.span_id),
        }

    def end(self, route: str | None, code: int) -> None:
        """End the span with the pattern of the matched route, if any, and the status."""
        now = time.monotonic()
        state = self._scope["state"]
        if self._span.is_recording():
            if "timings" in state:
                self._add_stages(state["timings"], now)
            self._span.update_name(_span_name(self._scope, route))
            self._span.set_attributes(response_attributes(route, code, state))
            if code >= 500:
                self._span.set_status(StatusCode.ERROR)
        self._span.end(self._ns(now))

    def _add_stages(self, timings: Timings, now: float) -> None:
        """Add a span for each stage; a stage that has not finished ends with the request."""
        if timings.decode_started:
            self._add_stage("decode", timings.decode_started, timings.decode_ended or now)
        if timings.queued:
            self._add_stage("queue", timings.queued, timings.taken or now)
        for run in timings.runs:
            self._add_stage("run", run.started, run.ended, {"oodguard.batch_images": run.images})
        if timings.taken and not timings.runs:
            self._add_stage("run", timings.taken, now)

    def _add_stage(
        self, name: str, start: float, end: float, attributes: Attributes | None = None
    ) -> None:
        self._tracer.start_span(
            name,
            set_span_in_context(self._span),
            attributes=attributes,
            start_time=self._ns(start),
        ).end(self._ns(end))

    def _ns(self, monotonic_s: float) -> int:
        return self._wall_ns + round(monotonic_s * 1e9)


def request_attributes(scope: Scope, headers: Headers) -> Attributes:
    """Return the attributes that are known when a request is received."""
    attributes: Attributes = {
        "http.request.method": _known_method(scope),
        "url.path": scope["path"][:MAX_VALUE_LENGTH],
        "url.scheme": scope["scheme"],
        "network.protocol.version": scope["http_version"],
        "oodguard.request_id": scope["state"]["request_id"],
    }
    if scope["method"] not in METHODS:
        attributes["http.request.method_original"] = scope["method"][:MAX_VALUE_LENGTH]
    if agent := headers.get("user-agent"):
        attributes["user_agent.original"] = agent[:MAX_VALUE_LENGTH]
    if scope.get("server"):
        attributes["server.address"], attributes["server.port"] = scope["server"]
    return attributes


def response_attributes(route: str | None, code: int, state: Mapping[str, Any]) -> Attributes:
    """Return the attributes that are known when a request is answered."""
    attributes: Attributes = {"http.response.status_code": code}
    if route:
        attributes["http.route"] = route
    if code >= 500:
        attributes["error.type"] = state.get("problem", str(code))
    for name in ("model", "version", "images", "rejected", "problem", "shed"):
        if name in state:
            attributes[f"oodguard.{name}"] = state[name]
    return attributes


def _known_method(scope: Scope) -> str:
    method: str = scope["method"]
    return method if method in METHODS else "_OTHER"


def _span_name(scope: Scope, route: str | None) -> str:
    method = _known_method(scope).replace("_OTHER", "HTTP")
    return f"{method} {route}" if route else method
