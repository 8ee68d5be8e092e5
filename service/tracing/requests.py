"""One span a request, with one below it for each stage that it went through."""

import time

from opentelemetry import propagate
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import SpanKind, StatusCode, Tracer, format_span_id, format_trace_id
from opentelemetry.trace.propagation import set_span_in_context
from starlette.datastructures import Headers
from starlette.types import Scope

from service.inference.jobs import Timings
from service.tracing.attributes import SCHEMA, Attributes, method_of, of_answer, of_request
from service.tracing.export import shut_down

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
