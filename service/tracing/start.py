"""Traces from the environment: on where its variables ask for them, else nothing at all."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from service.tracing.environment import asking
from service.tracing.errors import TracingRefused

if TYPE_CHECKING:
    from service.tracing.requests import Tracing


def tracing_from(environment: Mapping[str, str], version: str) -> "Tracing | None":
    """Make ready what is asked for.

    Args:
        environment: The variables of the process.
        version: The service's version.

    Raises:
        TracingRefused: What is asked for cannot be had.
    """
    variable = asking(environment)
    if variable is None:
        return None
    try:
        from service.tracing.export import provider  # noqa: PLC0415 - only where it is wanted
        from service.tracing.requests import Tracing  # noqa: PLC0415
    except ModuleNotFoundError as error:
        if error.name is None or not error.name.startswith("opentelemetry"):
            raise
        raise TracingRefused(
            f"{variable} asks for traces and {error.name} is not installed; install"
            " ood-guard[otel], or set OTEL_SDK_DISABLED=true"
        ) from error
    return Tracing(provider(version), version)
