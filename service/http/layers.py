"""FastAPI within the service's own layers."""

from collections.abc import Callable

from fastapi import FastAPI
from starlette.types import ASGIApp


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
