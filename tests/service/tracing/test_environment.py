"""The standard variables decide whether there are traces."""

import pytest

from oodguard.service.errors import TracingError
from oodguard.service.telemetry.tracing_config import tracing_variable

ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
TRACES_ENDPOINT = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
EXPORTER = "OTEL_TRACES_EXPORTER"
PROTOCOL = "OTEL_EXPORTER_OTLP_PROTOCOL"
TRACES_PROTOCOL = "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"
URL = "http://127.0.0.1:4318"


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {ENDPOINT: "", EXPORTER: ""},
        {EXPORTER: "none", ENDPOINT: URL},
        {"OTEL_SDK_DISABLED": "true", ENDPOINT: URL},
        {"OTEL_SERVICE_NAME": "guard", PROTOCOL: "grpc"},
    ],
)
def test_nothing_is_traced_where_nothing_asks_for_it(environment: dict[str, str]) -> None:
    assert tracing_variable(environment) is None


@pytest.mark.parametrize(
    ("environment", "variable"),
    [
        ({ENDPOINT: URL}, ENDPOINT),
        ({TRACES_ENDPOINT: URL, EXPORTER: ""}, TRACES_ENDPOINT),
        ({EXPORTER: "otlp"}, EXPORTER),
        ({EXPORTER: " OTLP "}, EXPORTER),
        ({ENDPOINT: URL, PROTOCOL: "http/protobuf", "OTEL_SDK_DISABLED": "false"}, ENDPOINT),
        ({ENDPOINT: URL, PROTOCOL: "grpc", TRACES_PROTOCOL: "http/protobuf"}, ENDPOINT),
    ],
)
def test_the_variable_that_asks_is_named(environment: dict[str, str], variable: str) -> None:
    assert tracing_variable(environment) == variable


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({EXPORTER: "zipkin"}, "OTEL_TRACES_EXPORTER=zipkin came; otlp or none is wanted"),
        ({EXPORTER: "otlp,console"}, "OTEL_TRACES_EXPORTER=otlp,console came"),
        ({ENDPOINT: URL, PROTOCOL: "grpc"}, "OTEL_EXPORTER_OTLP_PROTOCOL=grpc came"),
        (
            {ENDPOINT: URL, PROTOCOL: "http/protobuf", TRACES_PROTOCOL: "http/json"},
            "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL=http/json came",
        ),
    ],
)
def test_what_is_not_spoken_is_refused_and_not_ignored(
    environment: dict[str, str], said: str
) -> None:
    with pytest.raises(TracingError, match=said):
        tracing_variable(environment)
