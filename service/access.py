"""One middleware that accounts for every request: its id, its metrics and its log line."""

import logging
import time

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.jobs import Timings
from service.metrics import Metrics
from service.request_ids import HEADER, choose

logger = logging.getLogger("oodguard.access")

OTHER = "other"


class AccessMiddleware:
    """Gives a request its id, and accounts for it when it is answered.

    Args:
        app: What answers.
        metrics: Where requests are counted.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        identifier = choose(Headers(scope=scope).get(HEADER, "").encode("latin-1"))
        state = scope.setdefault("state", {})
        state["request_id"] = identifier
        # An exception that leaves the app is answered with 500 outside of this middleware.
        code = 500

        async def stamped(message: Message) -> None:
            nonlocal code
            if message["type"] == "http.response.start":
                code = message["status"]
                MutableHeaders(scope=message)[HEADER] = identifier
            await send(message)

        started = time.perf_counter()
        try:
            await self._app(scope, receive, stamped)
        finally:
            self._account(scope, code, time.perf_counter() - started)

    def _account(self, scope: Scope, code: int, duration_s: float) -> None:
        # The pattern, not the path: neither a model's name nor a scanner's guess is a time series.
        route = getattr(scope.get("route"), "path", OTHER)
        self._metrics.count_request(route, code, duration_s)
        if not logger.isEnabledFor(logging.INFO):
            return
        state = scope["state"]
        fields = {
            "request_id": state["request_id"],
            **({"key": state["key"]} if "key" in state else {}),
            "method": scope["method"],
            "route": route,
            "code": code,
            "duration_ms": round(duration_s * 1000, 3),
            "images": state.get("images", 0),
            "rejected": state.get("rejected", 0),
            **_milliseconds(state.get("timings")),
        }
        logger.info("request", extra={"fields": fields})


def _milliseconds(timings: Timings | None) -> dict[str, float]:
    if timings is None:
        return {}
    return {
        "decode_ms": round(timings.decode_s * 1000, 3),
        "queue_ms": round(timings.queue_s * 1000, 3),
        "run_ms": round(timings.run_s * 1000, 3),
    }
