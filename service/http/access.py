"""One middleware that accounts for every request: its id, its metrics, log line and trace."""

import logging
import time
from typing import TYPE_CHECKING, Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.http.request_headers import header
from service.http.request_ids import HEADER, choose, new_ids
from service.inference.jobs import Timings
from service.logs import about_request
from service.metrics import Metrics

if TYPE_CHECKING:
    # Imported where traces are asked for, and nowhere else.
    from service.tracing.requests import Tracing

logger = logging.getLogger("oodguard.access")

OTHER = "other"
# What others have left in the request's state for the log, where there is anything to say.
TOLD = ("key", "model", "version", "problem", "shed")
NOTHING_TIMED = Timings()


class AccessMiddleware:
    """Gives a request its id, and accounts for it when it is answered.

    Args:
        app: What answers.
        metrics: Where requests are counted.
        tracing: Where their spans go; none: nowhere.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics, tracing: "Tracing | None" = None) -> None:
        self._app = app
        self._metrics = metrics
        self._tracing = tracing
        self._new_id = new_ids()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        identifier = choose(header(scope, HEADER), self._new_id)
        state = scope.setdefault("state", {})
        state["request_id"] = identifier
        span = self._tracing.begin(scope) if self._tracing else None
        ids = {"request_id": identifier, **(span.ids if span else {})}
        about_request.set(ids)
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
            # The pattern, not the path: no name and no scanner's guess is to be a time series.
            route = getattr(scope.get("route"), "path", None)
            self._metrics.count_request(route or OTHER, code, duration_s)
            if span:
                span.end(route, code)
            if logger.isEnabledFor(logging.INFO):
                fields = {**ids, **_told(scope, route or OTHER, code, duration_s)}
                logger.info("request", extra={"fields": fields})


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
