"""Why traces that are asked for cannot be sent."""

from models.errors import GuardError


class TracingRefused(GuardError):
    """The OTEL_* variables ask for traces that this process cannot send."""
