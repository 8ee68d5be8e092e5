"""Check the bearer key and the role that the matched route requires."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

from fastapi import APIRouter
from fastapi.routing import RouteContext, iter_route_contexts
from starlette.responses import Response
from starlette.routing import Match
from starlette.types import ASGIApp, Receive, Scope, Send

from oodguard.service.auth.key_store import KeyStore
from oodguard.service.auth.keys import Key, id_of
from oodguard.service.auth.rate_limit import RateLimiter
from oodguard.service.auth.roles import required_roles
from oodguard.service.errors import (
    DenialReason,
    KeyMissing,
    KeyUnknown,
    RateLimited,
    RequestError,
    RoleMissing,
    RouteNotFound,
)
from oodguard.service.telemetry.metrics import Metrics

logger = logging.getLogger("oodguard.keys")

OnError: TypeAlias = Callable[[Scope, RequestError], Response]

_DENIALS: Final[Mapping[type[RequestError], DenialReason]] = {
    KeyMissing: "no-key",
    KeyUnknown: "unknown-key",
    RoleMissing: "role",
    RateLimited: "rate",
}


@dataclass(frozen=True, slots=True)
class Authorizer:
    """Authorizes a request by its headers and its path.

    Deny by default: a route that declares no role is forbidden for every key, and a path without a
    route is answered here, so that nothing unmatched reaches the framework. Both are reported only
    to clients with a valid key. The routes of `router` are read for every request.
    """

    keys: KeyStore
    rate_limiter: RateLimiter
    metrics: Metrics
    router: APIRouter

    def require(self, scope: Scope) -> None:
        """Check that a request is allowed, and record the key's id in the scope's state.

        The id is recorded for the log if the request is not allowed, too. A request that early load
        shedding has checked is not checked again: it would count twice towards its rate limit.

        Raises:
            KeyMissing: The route is not public, and the request has no key.
            KeyUnknown: The key is invalid or revoked.
            RateLimited: The key exceeded its rate limit.
            RoleMissing: The key lacks the required role, or the route declares none.
            RouteNotFound: The key is valid, and no route has the path.
        """
        state = scope["state"]
        if state.get("authorized"):
            return
        route = self._matched_route(scope)
        roles = None if route is None else required_roles(route)
        if roles is not None and not roles:
            return
        try:
            key = self._valid_key(scope)
            if route is None:
                raise RouteNotFound(f"{scope['method']} {scope['path'][:256]}: no such route")
            _require_roles(key, roles)
        except tuple(_DENIALS) as error:
            self.metrics.count_denied(_DENIALS[type(error)])
            raise
        state["authorized"] = True

    def _matched_route(self, scope: Scope) -> RouteContext | None:
        """Return the route that the framework would select, or None."""
        # Starlette's patterns end with `$`, which also matches before a newline at the end.
        if scope["path"].endswith("\n"):
            return None
        other_method = None
        for route in iter_route_contexts(self.router.routes):
            match, _ = route.matches(scope)
            if match is Match.FULL:
                return route
            if match is Match.PARTIAL and other_method is None:
                other_method = route
        return other_method

    def _valid_key(self, scope: Scope) -> Key:
        token = bearer_token(scope)
        key = self.keys.ring.find(token)
        # Also for an invalid key: the log shows who still uses a key that was revoked.
        scope["state"]["key"] = id_of(token) if key is None else key.id
        if key is None:
            raise KeyUnknown("invalid or revoked API key")
        self.rate_limiter.require(key)
        return key


def _require_roles(key: Key, roles: frozenset[str] | None) -> None:
    if roles is None:
        raise RoleMissing("the route declares no role: no API key is allowed", role=None)
    missing = " ".join(sorted(roles.difference(key.roles)))
    if missing:
        held = ", ".join(sorted(set(key.roles)))
        raise RoleMissing(f"key {key.id} has the role {held}, expected {missing}", role=missing)


def bearer_token(scope: Scope) -> str:
    """Return the text after `Authorization: Bearer`, valid or not.

    Raises:
        KeyMissing: There is no such header, or it has another scheme.
        KeyUnknown: There is more than one, so that it is ambiguous.
    """
    values = [value for name, value in scope["headers"] if name == b"authorization"]
    if len(values) > 1:
        raise KeyUnknown(f"received {len(values)} Authorization headers, expected 1")
    scheme, _, token = values[0].partition(b" ") if values else (b"", b"", b"")
    if scheme.lower() != b"bearer":
        raise KeyMissing("missing API key: send it as Authorization: Bearer KEY")
    # Latin-1 decodes any byte; text that is not a key is rejected as unknown.
    return str(token.strip(), "latin-1")


class AuthorizationMiddleware:
    """Authorizes every request before its body is read and before it is routed.

    `on_error` returns the response to a request that is not allowed.
    """

    def __init__(self, app: ASGIApp, authorizer: Authorizer, on_error: OnError) -> None:
        self._app = app
        self._authorizer = authorizer
        self._on_error = on_error

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "websocket":
            # No route of the service is a websocket; refuse it here in case one is added.
            await send({"type": "websocket.close", "code": 1008})
            return
        if scope["type"] == "http":
            try:
                self._authorizer.require(scope)
            except RequestError as error:
                await self._on_error(scope, error)(scope, receive, send)
                return
        await self._app(scope, receive, send)


def log_authentication_mode(keys: KeyStore | None) -> None:
    """Log once whether the service authenticates clients."""
    if keys is None:
        logger.warning("Authentication is disabled: no API keys are configured.")
    else:
        logger.info("Authentication is enabled.", extra={"fields": {"keys": len(keys.ring)}})
