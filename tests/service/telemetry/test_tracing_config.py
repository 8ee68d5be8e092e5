import sys
from pathlib import Path

import pytest

from oodguard.service.errors import TracingError
from oodguard.service.telemetry.tracing_config import enabling_variable, tracing_from
from tests.service.commands import oodguard

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
def test_tracing_is_off_by_default(environment: dict[str, str]) -> None:
    assert enabling_variable(environment) is None


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
def test_tracing_is_enabled_by_a_variable(environment: dict[str, str], variable: str) -> None:
    assert enabling_variable(environment) == variable


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({EXPORTER: "zipkin"}, "OTEL_TRACES_EXPORTER is zipkin, expected otlp or none"),
        ({EXPORTER: "otlp,console"}, "OTEL_TRACES_EXPORTER is otlp,console, expected"),
        (
            {ENDPOINT: URL, PROTOCOL: "grpc"},
            "OTLP_PROTOCOL is grpc, expected http/protobuf",
        ),
        (
            {ENDPOINT: URL, PROTOCOL: "http/protobuf", TRACES_PROTOCOL: "http/json"},
            "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL is http/json, expected",
        ),
    ],
)
def test_tracing_rejects_unsupported_exporters_and_protocols(
    environment: dict[str, str], message: str
) -> None:
    with pytest.raises(TracingError, match=message):
        enabling_variable(environment)


@pytest.mark.parametrize("missing", ["opentelemetry.sdk", "opentelemetry.exporter"])
def test_tracing_error_names_the_missing_package_and_the_extra(
    monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    for name in [*sys.modules]:
        if name == "oodguard.service.telemetry.tracing" or name.startswith(missing):
            monkeypatch.delitem(sys.modules, name)
    # The import system treats None as a missing module.
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(TracingError) as raised:
        tracing_from({ENDPOINT: URL}, "1")
    message = str(raised.value)
    assert message.startswith(f"OTEL_EXPORTER_OTLP_ENDPOINT enables tracing, but {missing}")
    assert "pip install -e '.[otel]'" in message


def test_serve_exits_with_one_line_for_an_unsupported_exporter(bundle_folder: Path) -> None:
    result = oodguard("serve", "--bundle", bundle_folder, OTEL_TRACES_EXPORTER="zipkin")
    assert result.exit_code == 1
    assert result.stderr == "oodguard: OTEL_TRACES_EXPORTER is zipkin, expected otlp or none.\n"
