"""Where spans go: to an OTLP receiver, as the OTEL_* variables say."""

import threading

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter

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
