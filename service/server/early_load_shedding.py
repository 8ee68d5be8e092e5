"""Reject requests with 429 in the HTTP protocol, before an ASGI task is created.

Measured with a graph that does almost no work, at twice the peak load: the p99 of a 429 is 74 ms
instead of 251 ms, and the goodput relative to the peak is .26 instead of .17.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias, cast

from fastapi.routing import APIRoute
from starlette.types import Scope
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

from oodguard.service.api import problems
from oodguard.service.api.access_log import REQUEST_ID_HEADER, AccessLog
from oodguard.service.errors import Overloaded, RequestError
from oodguard.service.prediction.admission import Admission
from oodguard.service.readiness import Phase, Readiness
from oodguard.service.server.connection_limit import ConnectionCounts, max_connections
from oodguard.service.server.last_response import LastResponseProtocol
from oodguard.service.server.parse_turns import ParseTurns

RawHeaders: TypeAlias = list[tuple[bytes, bytes]]


@dataclass(frozen=True, kw_only=True, slots=True)
class EarlyLoadShedding:
    """Rejects requests to one route with the same checks and responses as the middleware.

    Args:
        route: The route with the most requests, without path parameters.
        may_be_full: Returns whether the concurrency limit may be reached for some client.
        requirements: The checks of the middleware, in order; each raises a RequestError.
        readiness: The phase of the process; while draining, the middleware answers, because its
            responses also close the connection.
        access_log: Logs and counts the rejected requests.
        add_headers: Adds the headers that every response has.
    """

    route: APIRoute
    may_be_full: Callable[[], bool]
    requirements: Sequence[Callable[[Scope], None]]
    readiness: Readiness
    access_log: AccessLog
    add_headers: Callable[[RawHeaders], None]

    def is_active(self) -> bool:
        """Return whether requests may be shed at present."""
        return self.may_be_full() and self.readiness.phase is Phase.READY

    def reject(self, method: bytes, url: bytes, scope: Scope) -> bytes | None:
        """Return the whole response that rejects a request, or None if it is not rejected here.

        Args:
            method: The method in the request line.
            url: The URL in the request line.
            scope: The ASGI scope with the headers; path and method are added, and the route if a
                limit is reached.
        """
        if url != self.route.path.encode() or method.decode() not in (self.route.methods or ()):
            return None
        started = time.perf_counter()
        scope.update(method=method.decode(), path=self.route.path)
        identifier = self.access_log.open(scope)
        try:
            for require in self.requirements:
                require(scope)
        except RequestError as error:
            # Requests that are denied are counted without their route, as in the middleware.
            if isinstance(error, Overloaded):
                scope["route"] = self.route
            response = problems.error_response(scope, error)
        else:
            return None
        headers = [*response.raw_headers, (REQUEST_ID_HEADER, identifier.encode())]
        self.add_headers(headers)
        self.access_log.close(scope, response.status_code, time.perf_counter() - started)
        lines = b"".join(b"%s: %s\r\n" % each for each in headers)
        return b"%s%s\r\n%s" % (STATUS_LINE[response.status_code], lines, response.body)


class _CompletedCycle:
    """Replaces uvicorn's cycle for an answered request, so that its body is discarded."""

    response_complete = True

    def __init__(self) -> None:
        # Set by uvicorn when the connection is lost.
        self.message_event = asyncio.Event()


class LoadSheddingProtocol(LastResponseProtocol):
    """Rejects requests before uvicorn creates an ASGI task for them.

    Attributes:
        load_shedding: Rejects requests. It is a class attribute because uvicorn creates the
            protocols.
    """

    load_shedding: EarlyLoadShedding

    def start_request(self) -> None:
        """Reject the request, or start it."""
        response = self._early_response()
        if response is None:
            LastResponseProtocol.start_request(self)
            return
        self.cycle = cast("RequestResponseCycle", _CompletedCycle())
        self.transport.write(response)
        self.on_response_complete()

    def _early_response(self) -> bytes | None:
        """Return the early 429 response, or None if the request needs the full stack.

        The full stack is needed if an earlier request of the connection is being answered, for
        Expect and Upgrade, and if the connection is to be closed.
        """
        if not self.load_shedding.is_active():
            return None
        negotiates = self.expect_100_continue or self.parser.should_upgrade()
        keep_alive = self.parser.should_keep_alive() and self.parser.get_http_version() != "1.0"
        if self.is_answering() or negotiates or not keep_alive:
            return None
        scope = cast("Scope", self.scope)
        return self.load_shedding.reject(self.parser.get_method(), self.url, scope)


def http_protocol_class(
    shedding: EarlyLoadShedding | None,
    counts: ConnectionCounts | None = None,
    admission: Admission | None = None,
) -> type[LastResponseProtocol]:
    """Return the protocol class for uvicorn, with or without early load shedding.

    Args:
        shedding: Rejects requests.
        counts: The connections of the processes that serve together.
        admission: The limits on what clients hold.
    """
    own = {
        "max_connections": max_connections(),
        "waiting": {},
        "turns": ParseTurns(),
        "counts": counts,
        "admission": admission,
    }
    if shedding is None:
        return type("Protocol", (LastResponseProtocol,), own)
    return type("Protocol", (LoadSheddingProtocol,), {**own, "load_shedding": shedding})
