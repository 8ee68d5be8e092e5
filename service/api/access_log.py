"""Assign an id to every request, and count, log and trace it when it is answered."""

import logging
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from oodguard.service.asgi import REQUEST_ID_HEADER, header, request_id_source, valid_request_id
from oodguard.service.inference.queue import Timings
from oodguard.service.telemetry.logs import request_ids
from oodguard.service.telemetry.metrics import Metrics

if TYPE_CHECKING:
    # Imported at run time only if tracing is configured.
    from oodguard.service.telemetry.tracing import Tracing

logger = logging.getLogger("oodguard.access")

UNMATCHED_ROUTE = "other"

# Keys of the request's state that are logged if they are set.
STATE_FIELDS = ("key", "model", "version", "problem", "shed")

_NO_TIMINGS = Timings()


class AccessLog:
    """Assigns request ids, and counts and logs answered requests.

    Args:
        metrics: Counts the requests.
    """

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._new_id = request_id_source()

    def open(self, scope: Scope) -> str:
        """Store the request's id in its state, and return it."""
        identifier = valid_request_id(header(scope, REQUEST_ID_HEADER), self._new_id)
        scope.setdefault("state", {})["request_id"] = identifier
        return identifier

    def close(
        self, scope: Scope, status: int, duration_s: float, ids: Mapping[str, str] | None = None
    ) -> None:
        """Count and log an answered request.

        Args:
            scope: The request.
            status: The status of the response.
            duration_s: Seconds from the request's headers to the end of the response.
            ids: The first fields of the log line; default: the request's id.
        """
        route = route_of(scope) or UNMATCHED_ROUTE
        self._metrics.count_request(route, status, duration_s)
        if logger.isEnabledFor(logging.INFO):
            ids = ids or {"request_id": scope["state"]["request_id"]}
            fields = {**ids, **_fields(scope, route, status, duration_s)}
            logger.info("request", extra={"fields": fields})


class AccessLogMiddleware:
    """Opens and closes the access log entry of every request.

    Args:
        app: The application.
        access_log: The access log.
        tracing: Records spans; None: tracing is disabled.
    """

    def __init__(
        self, app: ASGIApp, access_log: AccessLog, tracing: "Tracing | None" = None
    ) -> None:
        self._app = app
        self._access_log = access_log
        self._tracing = tracing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        identifier = self._access_log.open(scope)
        span = self._tracing.begin(scope) if self._tracing else None
        ids = {"request_id": identifier, **(span.ids if span else {})}
        request_ids.set(ids)
        # An exception that leaves the application is answered with 500 outside of this middleware.
        status = 500

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"].append((REQUEST_ID_HEADER, identifier.encode()))
            await send(message)

        started = time.perf_counter()
        try:
            await self._app(scope, receive, send_with_id)
        finally:
            duration_s = time.perf_counter() - started
            if span:
                span.end(route_of(scope), status)
            self._access_log.close(scope, status, duration_s, ids)


def route_of(scope: Scope) -> str | None:
    """Return the pattern of the matched route.

    The path itself must not become a metric label: every scanned path would be a time series.
    """
    return getattr(scope.get("route"), "path", None)


def _fields(scope: Scope, route: str, status: int, duration_s: float) -> dict[str, Any]:
    state = scope["state"]
    timings: Timings = state.get("timings", _NO_TIMINGS)
    stages = {
        "decode_ms": timings.decode_s,
        "queue_ms": timings.queue_s,
        "run_ms": timings.run_s,
    }
    return {
        **{name: state[name] for name in STATE_FIELDS if name in state},
        "method": scope["method"],
        "route": route,
        "code": status,
        "duration_ms": round(duration_s * 1000, 3),
        "images": state.get("images", 0),
        "rejected": state.get("rejected", 0),
        **{name: round(seconds * 1000, 3) for name, seconds in stages.items() if seconds},
    }
