"""One span a request, with one below it for each stage that it went through."""

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

SCHEMA = "https://opentelemetry.io/schemas/1.44.0"

METHODS = frozenset(
    {"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "QUERY", "TRACE"}
)

# What a client may write at will is kept short: spans wait in memory until they are sent.
LONGEST = 256

Attributes = dict[str, AttributeValue]


def method_of(scope: Scope) -> str:
    """The method, where it is one of the known ones."""
    method: str = scope["method"]
    return method if method in METHODS else "_OTHER"


def of_request(scope: Scope, headers: Headers) -> Attributes:
    """What is known as a request comes in."""
    attributes: Attributes = {
        "http.request.method": method_of(scope),
        "url.path": scope["path"][:LONGEST],
        "url.scheme": scope["scheme"],
        "network.protocol.version": scope["http_version"],
        "oodguard.request_id": scope["state"]["request_id"],
    }
    if scope["method"] not in METHODS:
        attributes["http.request.method_original"] = scope["method"][:LONGEST]
    if agent := headers.get("user-agent"):
        attributes["user_agent.original"] = agent[:LONGEST]
    if scope.get("server"):
        attributes["server.address"], attributes["server.port"] = scope["server"]
    return attributes


def of_answer(route: str | None, code: int, state: Mapping[str, Any]) -> Attributes:
    """What is known once it is answered.

    Args:
        route: The pattern of its path; none where there is nothing at it.
        code: The status.
        state: What others left there of the request.
    """
    attributes: Attributes = {"http.response.status_code": code}
    if route:
        attributes["http.route"] = route
    if code >= 500:
        attributes["error.type"] = state.get("problem", str(code))
    for name in ("model", "version", "images", "rejected", "problem", "shed"):
        if name in state:
            attributes[f"oodguard.{name}"] = state[name]
    return attributes


SERVICE = "ood-guard"


def provider(version: str, exporter: SpanExporter | None = None) -> TracerProvider:
    """Make what gives out spans and sends them in batches, in a thread of its own.

    Where they come faster than they can be sent, they are dropped: a request never waits for them.

    Args:
        version: The service's version.
        exporter: Sends them; by default to the receiver that the variables name.
    """
    named = OTELResourceDetector().detect().attributes
    made = TracerProvider(
        resource=Resource.create({"service.name": SERVICE, "service.version": version, **named}),
        shutdown_on_exit=False,
    )
    made.add_span_processor(BatchSpanProcessor(exporter or OTLPSpanExporter()))
    return made


def shut_down(provider: TracerProvider, within_s: float) -> None:
    """Send what waits, for as long as there is time; a receiver that is away costs no more."""
    last = threading.Thread(target=provider.shutdown, name="last spans", daemon=True)
    last.start()
    last.join(within_s)


# A span a second for every probe and scrape would bury those of the requests.
UNTRACED = frozenset({"/healthz", "/readyz", "/metrics", "/v2/health/live", "/v2/health/ready"})

LAST_S = 5.0


class Tracing:
    """Begins a span for each request, below the one that its `traceparent` names.

    Args:
        provider: Gives out spans, and sends them.
        version: The service's version.
    """

    def __init__(self, provider: TracerProvider, version: str) -> None:
        self._provider = provider
        self._tracer = provider.get_tracer("oodguard", version, schema_url=SCHEMA)

    def begin(self, scope: Scope) -> "RequestSpan | None":
        """Begin a request's span; none for what is not traced."""
        return None if scope["path"] in UNTRACED else RequestSpan(self._tracer, scope)

    def close(self) -> None:
        """Send what waits, for a few seconds at most."""
        shut_down(self._provider, LAST_S)


class RequestSpan:
    """The span of one request.

    All its times are read off the monotonic clock, so that its stages lie within it even if the
    wall clock is set meanwhile.

    Args:
        tracer: Gives out spans.
        scope: The request.

    Attributes:
        ids: Its ids, by their names in the log.
    """

    def __init__(self, tracer: Tracer, scope: Scope) -> None:
        headers = Headers(scope=scope)
        self._tracer = tracer
        self._scope = scope
        self._wall_ns = time.time_ns() - time.monotonic_ns()
        self._span = tracer.start_span(
            _name(scope, None),
            propagate.extract(headers),
            SpanKind.SERVER,
            of_request(scope, headers),
            start_time=self._wall_ns + time.monotonic_ns(),
        )
        context = self._span.get_span_context()
        self.ids = {
            "trace_id": format_trace_id(context.trace_id),
            "span_id": format_span_id(context.span_id),
        }

    def end(self, route: str | None, code: int) -> None:
        """End it, and tell what became of the request.

        Args:
            route: The pattern of its path; none where there is nothing at it.
            code: The status of its answer.
        """
        now = time.monotonic()
        state = self._scope["state"]
        if self._span.is_recording():
            if "timings" in state:
                self._stages(state["timings"], now)
            self._span.update_name(_name(self._scope, route))
            self._span.set_attributes(of_answer(route, code, state))
            if code >= 500:
                self._span.set_status(StatusCode.ERROR)
        self._span.end(self._ns(now))

    def _stages(self, timings: Timings, now: float) -> None:
        """Make a span of each stage; one that was not done when the request ended ends with it."""
        if timings.decode_started:
            self._stage("decode", timings.decode_started, timings.decode_ended or now)
        if timings.queued:
            self._stage("queue", timings.queued, timings.taken or now)
        for run in timings.runs:
            self._stage("run", run.started, run.ended, {"oodguard.batch_images": run.images})
        if timings.taken and not timings.runs:
            self._stage("run", timings.taken, now)

    def _stage(
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


def _name(scope: Scope, route: str | None) -> str:
    method = method_of(scope)
    word = "HTTP" if method == "_OTHER" else method
    return f"{word} {route}" if route else word
