"""One middleware that tells browsers to make nothing of an answer but what it says it is."""

from collections.abc import Callable, Mapping

from fastapi import FastAPI
from fastapi.routing import APIRoute
from starlette.datastructures import MutableHeaders
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from oodguard.models.errors import GuardError
from oodguard.service.api import problems
from oodguard.service.errors import ClientDisconnected
from oodguard.service.readiness import Phase, Readiness


class DrainingMiddleware:
    """Asks clients to close their connection once the service drains.

    A client that keeps its connection would send its next request just as it is closed, and could
    not tell whether that was judged.

    Args:
        app: What answers.
        readiness: Whether the service drains.
    """

    def __init__(self, app: ASGIApp, readiness: Readiness) -> None:
        self._app = app
        self._readiness = readiness

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""

        async def parting(message: Message) -> None:
            draining = self._readiness.phase is Phase.DRAINING
            if draining and message["type"] == "http.response.start":
                MutableHeaders(scope=message)["connection"] = "close"
            await send(message)

        await self._app(scope, receive, parting)


class FastPathMiddleware:
    """Calls the endpoint of one route as the framework would, without its router and its stacks.

    The route stays where it is declared: the API's description tells of it, and every other way to
    ask for its path is answered by the framework.

    Args:
        app: What answers everything else.
        route: A route without parameters in its path, whose endpoint takes a request as it is.
    """

    def __init__(self, app: ASGIApp, route: APIRoute) -> None:
        self._app = app
        self._route = route
        self._methods = frozenset(route.methods or ())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope.get("path") != self._route.path or scope.get("method") not in self._methods:
            await self._app(scope, receive, send)
            return
        scope["route"] = self._route
        try:
            response: Response = await self._route.endpoint(Request(scope, receive))
        except ClientDisconnected:
            response = problems.nobody_listens()
        except GuardError as error:
            await problems.refuse(error, scope, receive, send)
            return
        await response(scope, receive, send)


class LayeredFastAPI(FastAPI):
    """FastAPI with layers around all of its own.

    Its own are for what the framework answers. Middleware that is added to it lies within them,
    and a request that never reaches the framework would pay for them all the same.

    Attributes:
        around: Puts the layers around an ASGI app; called once, before anything is answered.
    """

    around: Callable[[ASGIApp], ASGIApp]

    def build_middleware_stack(self) -> ASGIApp:
        """Put the layers around the framework."""
        return self.around(super().build_middleware_stack())


SENT = (
    "Authorization",
    "Inference-Header-Content-Length",
    "X-Request-Id",
    "X-Shape",
    "X-Timeout-Ms",
)

READ = ("Inference-Header-Content-Length", "Retry-After", "WWW-Authenticate", "X-Request-Id")


def with_origins(app: ASGIApp, origins: str) -> ASGIApp:
    """Let pages of these origins ask and read.

    Keys are sent by the page, never by the browser of its own accord, so there are no credentials
    in the sense of CORS.

    Args:
        app: What answers.
        origins: Origins with commas between them, or `*`.
    """
    return CORSMiddleware(
        app,
        allow_origins=[each.strip() for each in origins.split(",")],
        allow_methods=("GET", "POST"),
        allow_headers=SENT,
        expose_headers=READ,
    )


# After the OWASP REST security cheat sheet. What a route says itself stands.
HEADERS: Mapping[str, str] = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
    "cross-origin-resource-policy": "same-origin",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
}

_RAW = tuple((name.encode(), value.encode()) for name, value in HEADERS.items())


def add_to(headers: list[tuple[bytes, bytes]]) -> None:
    """Add the headers to those of an answer."""
    said = {name for name, _ in headers}
    headers.extend(each for each in _RAW if each[0] not in said)


class SecurityHeaders:
    """Adds the headers to every answer that passes.

    Args:
        app: What answers.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                add_to(message["headers"])
            await send(message)

        await self._app(scope, receive, guarded)
