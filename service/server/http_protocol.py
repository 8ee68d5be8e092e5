"""HTTP's request line and headers, within bounds of size and time."""

import asyncio
import time
import uuid
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias, cast

import orjson
from fastapi.routing import APIRoute
from starlette.types import Scope
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import (
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)
from uvicorn.server import ServerState

from oodguard.service.api import problems
from oodguard.service.api.access_log import AccessLog
from oodguard.service.asgi import HEADER
from oodguard.service.errors import RequestError
from oodguard.service.readiness import Phase, Readiness

RawHeaders: TypeAlias = list[tuple[bytes, bytes]]


class EarlyLoadShedding:
    """Refuses requests to the busiest route as its layers would, without asking them.

    Args:
        route: A route without parameters in its path.
        full: Whether there is no place for a request that comes now.
        requirements: Each raises what a request is refused with, in their order.
        readiness: Whether the service drains; clients are then told more than that.
        accounts: Where refused requests are accounted for.
        guard: Adds the headers that every answer has.
    """

    def __init__(  # noqa: PLR0913 - by keyword, each from elsewhere
        self,
        *,
        route: APIRoute,
        full: Callable[[], bool],
        requirements: Sequence[Callable[[Scope], None]],
        readiness: Readiness,
        accounts: AccessLog,
        guard: Callable[[RawHeaders], None],
    ) -> None:
        self._route = route
        self._url = route.path.encode()
        self._methods = frozenset(method.encode() for method in route.methods or ())
        self._full = full
        self._requirements = requirements
        self._readiness = readiness
        self._accounts = accounts
        self._guard = guard

    def is_shut(self) -> bool:
        """Whether there is no place for a request that comes now."""
        return self._full() and self._readiness.phase is Phase.READY

    def refuse(self, method: bytes, url: bytes, scope: Scope) -> bytes | None:
        """Refuse a request of which the head has come while the door is shut.

        Args:
            method: Of the request line.
            url: Of the request line.
            scope: The ASGI scope with the headers.

        Returns:
            The whole answer; none: it asks for another route, or there is a place after all.
        """
        if url != self._url or method not in self._methods:
            return None
        began = time.perf_counter()
        scope.update(method=method.decode(), path=self._route.path, route=self._route)
        identifier = self._accounts.open(scope)
        try:
            for require in self._requirements:
                require(scope)
        except RequestError as error:
            answer = problems.refusal(scope, error)
        else:
            return None
        headers = [*answer.raw_headers, (HEADER, identifier.encode())]
        self._guard(headers)
        self._accounts.close(scope, answer.status_code, time.perf_counter() - began)
        lines = b"".join(b"%s: %s\r\n" % each for each in headers)
        return b"%s%s\r\n%s" % (STATUS_LINE[answer.status_code], lines, answer.body)


class Answered:
    """In place of uvicorn's cycle, for a request that has its answer: its body is passed over."""

    response_complete = True

    def __init__(self) -> None:
        # Told when the connection is lost.
        self.message_event = asyncio.Event()


class LoadSheddingProtocol(HttpToolsProtocol):
    """Uvicorn's protocol with a door.

    Attributes:
        door: Who refuses; none: everybody is let in. Of the class, as uvicorn makes the protocols.
    """

    door: EarlyLoadShedding | None = None

    def on_headers_complete(self) -> None:
        """Begin with a request, or refuse it."""
        refusal = self._refusal()
        if refusal is None:
            super().on_headers_complete()
            return
        self.cycle = cast("RequestResponseCycle", Answered())
        self.transport.write(refusal)
        self.on_response_complete()

    def _refusal(self) -> bytes | None:
        """The answer to who is turned away; where anything else is to be minded, nobody is."""
        if self.door is None or not self.door.is_shut():
            return None
        before = cast("RequestResponseCycle | None", self.cycle)
        busy = before is not None and not before.response_complete
        wants_more = self.expect_100_continue or self.parser.should_upgrade()
        stays = self.parser.should_keep_alive() and self.parser.get_http_version() != "1.0"
        if busy or wants_more or self.flow.write_paused or not stays:
            return None
        return self.door.refuse(self.parser.get_method(), self.url, cast("Scope", self.scope))


# Of a request line with its headers; browsers and proxies send a few thousand.
MOST_BYTES = 65_536

# For the first request from when the connection is there, for others from their first byte.
WITHIN_S = 10.0

REFUSAL = {
    "type": "/problems/request-header-fields-too-large",
    "title": "The headers have too many bytes",
    "status": 431,
    "detail": f"more than {MOST_BYTES} bytes came before the body; at most that many are taken",
}


class HeadTooLarge(Exception):
    """A whole head of too many bytes; it stops the parser, and goes no further."""


class HeaderLimitProtocol(LoadSheddingProtocol):
    """Uvicorn's protocol, which by itself collects headers without end and waits for them for ever.

    One header of 200 MB kept the event loop for 49 s, and two million short ones took 400 MB.
    """

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._in_head = True
        # As they came; at most one read more than belongs to the head.
        self._head_bytes = 0
        self._waiting: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wait for the first request."""
        super().connection_made(transport)
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no more."""
        self._wait_no_more()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take the next bytes, unless the head has become too long by them."""
        if self._in_head:
            self._head_bytes += len(data)
        super().data_received(data)
        if self.transport.is_closing():
            return
        if not self._in_head:
            self._wait_no_more()
        elif self._head_bytes > MOST_BYTES:
            self.send_400_response("")
        elif self._waiting is None:
            self._wait()

    def on_message_begin(self) -> None:
        """Begin a head."""
        super().on_message_begin()
        self._in_head = True

    def on_headers_complete(self) -> None:
        """End a head, and refuse one that came whole and is too long all the same."""
        if self._head_bytes > MOST_BYTES:
            lines = sum(len(name) + len(value) + 4 for name, value in self.headers)
            size = len(self.url) + lines
            if size > MOST_BYTES:
                raise HeadTooLarge
        self._in_head = False
        self._head_bytes = 0
        super().on_headers_complete()

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no HTTP, or too long."""
        if self._head_bytes <= MOST_BYTES:
            super().send_400_response(msg)
            return
        identifier = uuid.uuid4().hex
        body = orjson.dumps({**REFUSAL, "request_id": identifier})
        head = (
            "HTTP/1.1 431 Request Header Fields Too Large\r\n"
            "content-type: application/problem+json\r\n"
            f"content-length: {len(body)}\r\nx-request-id: {identifier}\r\n"
            "connection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + body)
        self.transport.close()

    def _wait(self) -> None:
        self._waiting = self.loop.call_later(WITHIN_S, self._give_up)

    def _wait_no_more(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None

    def _give_up(self) -> None:
        if not self.transport.is_closing():
            self.transport.close()


def http_protocol_class(behind: EarlyLoadShedding | None) -> type[HeaderLimitProtocol]:
    """Make the protocol of a service with a door of its own, or with none."""

    class Guarded(HeaderLimitProtocol):
        door = behind

    return Guarded
