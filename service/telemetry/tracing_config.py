"""Enable tracing from the OTEL_* environment variables.

OpenTelemetry's SDK is an optional extra, so `tracing` is imported only if a variable requests it.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from oodguard.models.errors import install_hint
from oodguard.service.errors import TracingError

if TYPE_CHECKING:
    from oodguard.service.telemetry.tracing import Tracing

DISABLED = "OTEL_SDK_DISABLED"

EXPORTER = "OTEL_TRACES_EXPORTER"

ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")

# The first one that is set takes precedence.
PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")

PROTOCOL = "http/protobuf"


def enabling_variable(environment: Mapping[str, str]) -> str | None:
    """Return the name of the variable that enables tracing, or None. Empty variables are unset.

    Raises:
        TracingError: A variable requests an exporter or a protocol that is not supported.
    """
    if environment.get(DISABLED, "").strip().lower() == "true":
        return None
    exporter = environment.get(EXPORTER, "").strip().lower()
    if exporter == "none":
        return None
    if exporter not in {"", "otlp"}:
        raise TracingError(f"{EXPORTER} is {exporter}, expected otlp or none.")
    enabling = next((name for name in (EXPORTER, *ENDPOINTS) if environment.get(name)), None)
    name = next((each for each in PROTOCOLS if environment.get(each)), None)
    if enabling and name and environment[name].strip().lower() != PROTOCOL:
        raise TracingError(
            f"{name} is {environment[name]}, expected {PROTOCOL}, which collectors receive on port"
            " 4318."
        )
    return enabling


def tracing_from(environment: Mapping[str, str], version: str) -> "Tracing | None":
    """Create tracing as the environment variables request it, or return None.

    Raises:
        TracingError: The request is not supported, or OpenTelemetry is not installed.
    """
    variable = enabling_variable(environment)
    if variable is None:
        return None
    try:
        from oodguard.service.telemetry.tracing import (  # noqa: PLC0415 - an optional extra
            Tracing,
            create_provider,
        )
    except ModuleNotFoundError as error:
        if error.name is None or not error.name.startswith("opentelemetry"):
            raise
        raise TracingError(
            f"{variable} enables tracing, but {error.name} is not installed."
            f" {install_hint('otel')}, or set {DISABLED}=true."
        ) from error
    return Tracing(create_provider(version), version)
