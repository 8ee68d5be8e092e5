"""An app with an in-memory span exporter."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from starlette.testclient import TestClient

from oodguard.service.app import create_app
from oodguard.service.settings import Settings
from oodguard.service.telemetry.tracing import Tracing


@dataclass(frozen=True, slots=True)
class Traced:
    """A client of the app, and the exporter of its spans."""

    client: TestClient
    exporter: InMemorySpanExporter

    def spans(self) -> list[ReadableSpan]:
        """All spans by start time."""
        return sorted(self.exporter.get_finished_spans(), key=lambda span: span.start_time or 0)

    def server_span(self) -> ReadableSpan:
        """The only server span."""
        (span,) = [each for each in self.spans() if each.name not in {"decode", "queue", "run"}]
        return span

    def stages(self) -> list[ReadableSpan]:
        """The spans of the stages."""
        return [each for each in self.spans() if each is not self.server_span()]


@pytest.fixture
def traced(bundle_folder: Path) -> Iterator[Traced]:
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    settings = Settings(bundle=bundle_folder, max_batch=2)
    app = create_app(settings, tracing=Tracing(provider, "1"))
    with TestClient(app, raise_server_exceptions=False) as client:
        yield Traced(client, exporter)
