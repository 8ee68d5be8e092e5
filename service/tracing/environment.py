"""Whether the standard OTEL_* variables ask for traces, by the OpenTelemetry specification."""

from collections.abc import Mapping

from service.tracing.errors import TracingRefused

DISABLED = "OTEL_SDK_DISABLED"
EXPORTER = "OTEL_TRACES_EXPORTER"
ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
# The first that is set counts.
PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
PROTOCOL = "http/protobuf"


def asking(environment: Mapping[str, str]) -> str | None:
    """Name the variable that asks for traces, if one does. An empty variable is not set.

    Raises:
        TracingRefused: One asks for an exporter or a protocol that is not spoken here.
    """
    if environment.get(DISABLED, "").strip().lower() == "true":
        return None
    exporter = environment.get(EXPORTER, "").strip().lower()
    if exporter == "none":
        return None
    if exporter not in {"", "otlp"}:
        raise TracingRefused(f"{EXPORTER}={exporter} came; otlp or none is wanted")
    found = next((name for name in (EXPORTER, *ENDPOINTS) if environment.get(name)), None)
    if found:
        _require_protocol(environment)
    return found


def _require_protocol(environment: Mapping[str, str]) -> None:
    name = next((each for each in PROTOCOLS if environment.get(each)), None)
    if name and environment[name].strip().lower() != PROTOCOL:
        raise TracingRefused(
            f"{name}={environment[name]} came; {PROTOCOL} is wanted, which collectors take on"
            " port 4318"
        )
