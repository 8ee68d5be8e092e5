"""Traces from the environment: on where its variables ask for them, else nothing at all."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from oodguard.service.errors import TracingError

if TYPE_CHECKING:
    from oodguard.service.telemetry.tracing import Tracing

DISABLED = "OTEL_SDK_DISABLED"

EXPORTER = "OTEL_TRACES_EXPORTER"

ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")

# The first that is set counts.
PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")

PROTOCOL = "http/protobuf"


def tracing_variable(environment: Mapping[str, str]) -> str | None:
    """Name the variable that asks for traces, if one does. An empty variable is not set.

    Raises:
        TracingError: One asks for an exporter or a protocol that is not spoken here.
    """
    if environment.get(DISABLED, "").strip().lower() == "true":
        return None
    exporter = environment.get(EXPORTER, "").strip().lower()
    if exporter == "none":
        return None
    if exporter not in {"", "otlp"}:
        raise TracingError(f"{EXPORTER}={exporter} came; otlp or none is wanted")
    found = next((name for name in (EXPORTER, *ENDPOINTS) if environment.get(name)), None)
    if found:
        _require_protocol(environment)
    return found


def _require_protocol(environment: Mapping[str, str]) -> None:
    name = next((each for each in PROTOCOLS if environment.get(each)), None)
    if name and environment[name].strip().lower() != PROTOCOL:
        raise TracingError(
            f"{name}={environment[name]} came; {PROTOCOL} is wanted, which collectors take on"
            " port 4318"
        )


def tracing_from(environment: Mapping[str, str], version: str) -> "Tracing | None":
    """Make ready what is asked for.

    Args:
        environment: The variables of the process.
        version: The service's version.

    Raises:
        TracingError: What is asked for cannot be had.
    """
    variable = tracing_variable(environment)
    if variable is None:
        return None
    try:
        from oodguard.service.telemetry.tracing import (  # noqa: PLC0415 - an optional extra
            Tracing,
            provider,
        )
    except ModuleNotFoundError as error:
        if error.name is None or not error.name.startswith("opentelemetry"):
            raise
        raise TracingError(
            f"{variable} asks for traces and {error.name} is not installed; install"
            " ood-guard[otel], or set OTEL_SDK_DISABLED=true"
        ) from error
    return Tracing(provider(version), version)
