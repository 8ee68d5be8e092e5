"""Turning requests away at the door while as many are in flight as are taken.

At twice the load that can be answered, every other request is refused. To make a task of each and
to lead it through all layers costs three times as much, on the processor of those who are inside.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import TypeAlias, cast

from fastapi.routing import APIRoute
from starlette.types import Scope
from uvicorn.protocols.http.httptools_impl import (
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)

from service.errors import RequestError
from service.http import problems
from service.http.access import Accounts
from service.http.readiness import Phase, Readiness
from service.http.request_ids import HEADER

RawHeaders: TypeAlias = list[tuple[bytes, bytes]]


class Door:
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
        accounts: Accounts,
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


class Doorkeeper(HttpToolsProtocol):
    """Uvicorn's protocol with a door.

    Attributes:
        door: Who refuses; none: everybody is let in. Of the class, as uvicorn makes the protocols.
    """

    door: Door | None = None

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
