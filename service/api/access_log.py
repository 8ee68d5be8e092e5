"""Assign an id to every request, and count, log and trace it when it is answered."""

import logging
import re
import secrets
import time
from collections.abc import Mapping
from random import Random
from typing import TYPE_CHECKING, Any

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from oodguard.service.client_address import ClientAddresses
from oodguard.service.inference.queue import Timings
from oodguard.service.telemetry.logs import request_ids
from oodguard.service.telemetry.metrics import Metrics

if TYPE_CHECKING:
    # Imported at run time only if tracing is configured.
    from oodguard.service.telemetry.tracing import Tracing

logger = logging.getLogger("oodguard.access")

REQUEST_ID_HEADER = b"x-request-id"

# An id is written to logs and headers, where line breaks or a megabyte would do harm.
_VALID_ID = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)

UNMATCHED_ROUTE = "other"

# Keys of the request's state that are logged if they are set.
STATE_FIELDS = ("key", "model", "version", "problem", "shed")

# An address identifies a person: it is logged where an operator has to find the client.
CODES_WITH_CLIENT = frozenset({401, 403, 408, 429})


class AccessLog:
    """Assigns request ids, and counts and logs answered requests.

    New ids are from a generator with a random seed. Random bytes of the system would be a system
    call for every request, which releases the interpreter lock in the middle of it. A counter
    would show every client, even one without a key, how many requests all clients send.
    """

    def __init__(self, metrics: Metrics, addresses: ClientAddresses) -> None:
        self._metrics = metrics
        self._addresses = addresses
        # An id is no secret.
        self._random = Random(secrets.randbits(256))  # noqa: S311

    def open(self, scope: Scope) -> str:
        """Store the request's id and the client's address in its state, and return the id.

        The id is the client's if that is valid, else a new one.
        """
        identifier = Headers(scope=scope).get(REQUEST_ID_HEADER.decode(), "")
        if not _VALID_ID.fullmatch(identifier):
            identifier = f"{self._random.getrandbits(128):032x}"
        state = scope.setdefault("state", {})
        state["request_id"] = identifier
        state["client"] = self._addresses.of(scope)
        return identifier

    def close(
        self, scope: Scope, status: int, duration_s: float, ids: Mapping[str, str] | None = None
    ) -> None:
        """Count and log a request that was answered after `duration_s` seconds.

        The log line starts with `ids`; default: the request's id.
        """
        route = route_of(scope) or UNMATCHED_ROUTE
        self._metrics.count_request(route, status, duration_s)
        if logger.isEnabledFor(logging.INFO):
            ids = ids or {"request_id": scope["state"]["request_id"]}
            fields = {**ids, **_fields(scope, route, status, duration_s)}
            logger.info("request", extra={"fields": fields})


class AccessLogMiddleware:
    """Opens and closes the access log entry and, if tracing is enabled, the span of a request."""

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
    timings: Timings | None = state.get("timings")
    stages = {}
    if timings is not None:
        stages = {"decode": timings.decode_s, "queue": timings.queue_s, "run": timings.run_s}
    return {
        **({"client": state["client"]} if status in CODES_WITH_CLIENT else {}),
        **{name: state[name] for name in STATE_FIELDS if state.get(name) is not None},
        "method": scope["method"],
        "route": route,
        "code": status,
        "duration_ms": round(duration_s * 1000, 3),
        "images": state.get("images", 0),
        "rejected": state.get("rejected", 0),
        **{f"{name}_ms": round(each * 1000, 3) for name, each in stages.items() if each},
    }
