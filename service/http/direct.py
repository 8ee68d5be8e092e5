"""One middleware that answers the busiest route without asking the framework's router."""

from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from models.errors import GuardError
from service.errors import ClientGone
from service.http import problems


class DirectMiddleware:
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
        except ClientGone:
            response = problems.nobody_listens()
        except GuardError as error:
            await problems.refuse(error, scope, receive, send)
            return
        await response(scope, receive, send)
