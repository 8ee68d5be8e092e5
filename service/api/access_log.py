"""What accounts for every request: its id, its metrics, log line and trace."""

import logging
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from oodguard.service.asgi import HEADER, choose, header, new_ids
from oodguard.service.inference.queue import Timings
from oodguard.service.telemetry.logs import request_ids
from oodguard.service.telemetry.metrics import Metrics

if TYPE_CHECKING:
    # Imported where traces are asked for, and nowhere else.
    from oodguard.service.telemetry.tracing import Tracing

logger = logging.getLogger("oodguard.access")

OTHER = "other"

# What others have left in the request's state for the log, where there is anything to say.
TOLD = ("key", "model", "version", "problem", "shed")

NOTHING_TIMED = Timings()


class AccessLog:
    """Gives requests their ids, and counts and logs them when they are answered.

    Args:
        metrics: Where they are counted.
    """

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._new_id = new_ids()

    def open(self, scope: Scope) -> str:
        """Give a request its id, in its state, and return it."""
        identifier = choose(header(scope, HEADER), self._new_id)
        scope.setdefault("state", {})["request_id"] = identifier
        return identifier

    def close(
        self, scope: Scope, code: int, duration_s: float, ids: Mapping[str, str] | None = None
    ) -> None:
        """Count and log a request that is answered.

        Args:
            scope: The request.
            code: The status of its answer.
            duration_s: Seconds from its headers to the end of its answer.
            ids: What its line begins with; by default its id alone.
        """
        route = route_of(scope) or OTHER
        self._metrics.count_request(route, code, duration_s)
        if logger.isEnabledFor(logging.INFO):
            ids = ids or {"request_id": scope["state"]["request_id"]}
            fields = {**ids, **_told(scope, route, code, duration_s)}
            logger.info("request", extra={"fields": fields})


class AccessMiddleware:
    """Accounts for every request that passes.

    Args:
        app: What answers.
        accounts: Where it is accounted for.
        tracing: Where their spans go; none: nowhere.
    """

    def __init__(self, app: ASGIApp, accounts: AccessLog, tracing: "Tracing | None" = None) -> None:
        self._app = app
        self._accounts = accounts
        self._tracing = tracing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        identifier = self._accounts.open(scope)
        span = self._tracing.begin(scope) if self._tracing else None
        ids = {"request_id": identifier, **(span.ids if span else {})}
        request_ids.set(ids)
        # An exception that leaves the app is answered with 500 outside of this middleware.
        code = 500

        async def stamped(message: Message) -> None:
            nonlocal code
            if message["type"] == "http.response.start":
                code = message["status"]
                message["headers"].append((HEADER, identifier.encode()))
            await send(message)

        started = time.perf_counter()
        try:
            await self._app(scope, receive, stamped)
        finally:
            duration_s = time.perf_counter() - started
            if span:
                span.end(route_of(scope), code)
            self._accounts.close(scope, code, duration_s, ids)


def route_of(scope: Scope) -> str | None:
    """The pattern, not the path: no name and no scanner's guess is to be a time series."""
    return getattr(scope.get("route"), "path", None)


def _told(scope: Scope, route: str, code: int, duration_s: float) -> dict[str, Any]:
    state = scope["state"]
    return {
        **{name: state[name] for name in TOLD if name in state},
        "method": scope["method"],
        "route": route,
        "code": code,
        "duration_ms": round(duration_s * 1000, 3),
        "images": state.get("images", 0),
        "rejected": state.get("rejected", 0),
        **_milliseconds(state.get("timings", NOTHING_TIMED)),
    }


def _milliseconds(timings: Timings) -> dict[str, float]:
    """The stages that a request has been through."""
    seconds = {
        "decode_ms": timings.decode_s,
        "queue_ms": timings.queue_s,
        "run_ms": timings.run_s,
    }
    return {name: round(value * 1000, 3) for name, value in seconds.items() if value}
