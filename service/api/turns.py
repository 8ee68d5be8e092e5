"""Let clients take turns with the requests that are answered in the event loop."""

import asyncio
from collections.abc import Callable

from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from oodguard.service.client_address import network_of
from oodguard.service.errors import RequestError
from oodguard.service.inference.turn_queue import TurnQueue

PREDICTION_ENDS = ("/predict", "/infer")


class TurnMiddleware:
    """Starts at most one request in each turn of the event loop, the next client's first.

    Some take long: the metrics 14 ms. When 200 connections of one client requested them without
    pause, a turn of the event loop took 3 s, and another client's prediction, which takes several
    turns, more than 30 s. Predictions are not counted: they are started together, so that they can
    be run together, and have limits of their own. The client is the address, because the key has
    not been checked.

    Args:
        app: Answers the requests.
        require: Called before a request is started; may raise to reject it. The requests that were
            started before have been answered, unless they wait for something.
        on_error: Returns the response to a rejected request.
    """

    def __init__(
        self,
        app: ASGIApp,
        require: Callable[[Scope], None],
        on_error: Callable[[Scope, RequestError], Response],
    ) -> None:
        self._app = app
        self._require = require
        self._on_error = on_error
        self._waiting: TurnQueue[asyncio.Future[None]] = TurnQueue()
        # Whether a request was started in this turn of the event loop.
        self._started = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "http":
            if not is_prediction(scope):
                await self._turn(network_of(scope["state"]["client"]))
            try:
                self._require(scope)
            except RequestError as error:
                await self._on_error(scope, error)(scope, receive, send)
                return
        await self._app(scope, receive, send)

    async def _turn(self, client: str) -> None:
        """Wait until a request of a client may be started."""
        loop = asyncio.get_running_loop()
        if self._started:
            future = loop.create_future()
            self._waiting.put(client, future)
            await future
        else:
            self._started = True
            loop.call_soon(self._start_next)

    def _start_next(self) -> None:
        """Start the next request in the next turn of the event loop."""
        while self._waiting:
            future = self._waiting.first()
            self._waiting.advance(1)
            # At the end of the process, what waits is cancelled.
            if not future.done():
                future.set_result(None)
                future.get_loop().call_soon(self._start_next)
                return
        self._started = False


def is_prediction(scope: Scope) -> bool:
    """Return whether a request is a prediction, if its path has a route."""
    path: str = scope["path"]
    return scope["method"] == "POST" and path.endswith(PREDICTION_ENDS)
