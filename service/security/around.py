"""Puts what guards the app around it, in the order in which a request meets it from the inside."""

import logging

from starlette.middleware.errors import ServerErrorMiddleware
from starlette.types import ASGIApp

from service.http import problems
from service.metrics import Metrics
from service.security.authorisation import Admittance, Authorisation
from service.security.cross_origin import with_origins
from service.security.headers import SecurityHeaders
from service.security.held_keys import HeldKeys
from service.security.rates import Rates
from service.settings import Settings

logger = logging.getLogger("oodguard.keys")


def tell_who_may_ask(keys: HeldKeys | None) -> None:
    """Say once in the log whom the service answers."""
    if keys is None:
        logger.warning("no keys are set: whoever reaches the port may ask for everything")
    else:
        logger.info("keys are wanted", extra={"fields": {"keys": len(keys.ring)}})


def admittance_by(keys: HeldKeys | None, settings: Settings, metrics: Metrics) -> Admittance | None:
    """Who is let in, where there are keys."""
    if keys is None:
        return None
    return Admittance(keys, Rates(settings.requests_per_minute), metrics)


def protect(app: ASGIApp, settings: Settings, admittance: Admittance | None) -> ASGIApp:
    """Ask for keys where there are any, and guard every answer, also one to what went wrong.

    A preflight of a browser carries no key, so that CORS lies around what asks for one.
    """
    if admittance is not None:
        app = Authorisation(app, admittance)
    app = ServerErrorMiddleware(app, handler=problems.on_unforeseen)
    if settings.cors_origins is not None:
        app = with_origins(app, settings.cors_origins)
    return SecurityHeaders(app)
