"""One middleware that lets clients go while the service drains."""

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.http.readiness import Phase, Readiness


class FarewellMiddleware:
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
