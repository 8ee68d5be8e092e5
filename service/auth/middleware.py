"""Who shows a key with the role that the path wants is let in, by one middleware or at the door."""

import logging
from collections.abc import Callable, Mapping
from typing import Any, Final

from starlette.middleware.errors import ServerErrorMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from oodguard.service.api import problems
from oodguard.service.api import problems as oip
from oodguard.service.api.middleware import SecurityHeaders, with_origins
from oodguard.service.api.operations import PAGES
from oodguard.service.api.problems import MEDIA_TYPE, refuse
from oodguard.service.auth.key_store import KeyStore
from oodguard.service.auth.keys import Key, Role
from oodguard.service.auth.rate_limit import RateLimiter
from oodguard.service.errors import (
    DenialReason,
    KeyMissing,
    KeyUnknown,
    RateLimited,
    RequestError,
    RoleMissing,
)
from oodguard.service.settings import Settings
from oodguard.service.telemetry.metrics import Metrics

# Compared whole: what merely begins like one of these is not open.
OPEN = frozenset(
    {"/healthz", "/readyz", "/v2/health/live", "/v2/health/ready", "/openapi.json", *PAGES}
)

BY_FIRST_SEGMENT: Mapping[str, Role] = {
    "predict": "predict",
    "models": "predict",
    "v2": "predict",
    "metrics": "metrics",
    "admin": "admin",
}


def required_role(path: str) -> Role | None:
    """The role that a key needs for a path that is not open; none: there is nothing at it.

    Without a key all such paths look the same, whether there is something at them or not.
    """
    return BY_FIRST_SEGMENT.get(path[1:].partition("/")[0])


SCHEME = b"bearer"

DENIALS: Final[Mapping[type[RequestError], DenialReason]] = {
    KeyMissing: "no-key",
    KeyUnknown: "unknown-key",
    RoleMissing: "role",
    RateLimited: "rate",
}


class Authorizer:
    """Lets in who shows a key, and counts who does not.

    Args:
        keys: The keys in force.
        rates: How often each may ask.
        metrics: Where refusals are counted.
    """

    def __init__(self, keys: KeyStore, rates: RateLimiter, metrics: Metrics) -> None:
        self._keys = keys
        self._rates = rates
        self._metrics = metrics

    def require(self, scope: Scope) -> None:
        """Let a request in, noting in its state by which key.

        Raises:
            KeyMissing: It shows none.
            KeyUnknown: It shows one that is not in force.
            RateLimited: The key has asked too often.
            RoleMissing: The key has not the role that is wanted.
        """
        try:
            scope["state"]["key"] = self._admitted(scope).id
        except tuple(DENIALS) as error:
            self._metrics.count_denied(DENIALS[type(error)])
            raise

    def _admitted(self, scope: Scope) -> Key:
        key = self._keys.ring.find(bearer_token(scope))
        if key is None:
            raise KeyUnknown("the key that came is not in force; a valid one is wanted")
        self._rates.require(key)
        role = required_role(scope["path"])
        if role is not None and role not in key.roles:
            has = ", ".join(sorted(key.roles))
            raise RoleMissing(f"key {key.id} has the role {has}; {role} is wanted", role=role)
        return key


class AuthorizationMiddleware:
    """Asks for a key before anything is read of a request, or known of its path.

    Args:
        app: What answers.
        admittance: Who is let in.
    """

    def __init__(self, app: ASGIApp, admittance: Authorizer) -> None:
        self._app = app
        self._admittance = admittance

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "http" and scope["path"] not in OPEN:
            try:
                self._admittance.require(scope)
            except tuple(DENIALS) as error:
                await refuse(error, scope, receive, send)
                return
        await self._app(scope, receive, send)


def bearer_token(scope: Scope) -> str:
    """What a request shows as its key, valid or not.

    Raises:
        KeyMissing: Nothing.
        KeyUnknown: More than one thing, so that it is open which is meant.
    """
    shown = [value for name, value in scope["headers"] if name == b"authorization"]
    if len(shown) > 1:
        raise KeyUnknown(f"{len(shown)} Authorization headers came; one is wanted")
    scheme, _, token = shown[0].partition(b" ") if shown else (b"", b"", b"")
    if scheme.lower() != SCHEME:
        raise KeyMissing("no key came; the header Authorization: Bearer KEY is wanted")
    # Latin-1 reads any byte; what is not of a key's form is found to be unknown.
    return str(token.strip(), "latin-1")


logger = logging.getLogger("oodguard.keys")


def log_authentication_mode(keys: KeyStore | None) -> None:
    """Say once in the log whom the service answers."""
    if keys is None:
        logger.warning("no keys are set: whoever reaches the port may ask for everything")
    else:
        logger.info("keys are wanted", extra={"fields": {"keys": len(keys.ring)}})


def authorizer_from(
    keys: KeyStore | None, settings: Settings, metrics: Metrics
) -> Authorizer | None:
    """Who is let in, where there are keys."""
    if keys is None:
        return None
    return Authorizer(keys, RateLimiter(settings.requests_per_minute), metrics)


def protect(app: ASGIApp, settings: Settings, admittance: Authorizer | None) -> ASGIApp:
    """Ask for keys where there are any, and guard every answer, also one to what went wrong.

    A preflight of a browser carries no key, so that CORS lies around what asks for one.
    """
    if admittance is not None:
        app = AuthorizationMiddleware(app, admittance)
    app = ServerErrorMiddleware(app, handler=problems.on_unforeseen)
    if settings.cors_origins is not None:
        app = with_origins(app, settings.cors_origins)
    return SecurityHeaders(app)


Description = dict[str, Any]

SCHEME_DESCRIPTION = "key"

REFUSALS = ("401", "403", "429")


def with_keys(describe: Callable[[], Description]) -> Callable[[], Description]:
    """Wrap what describes an app whose paths want keys."""

    def described() -> Description:
        description = describe()
        schemes = description["components"].setdefault("securitySchemes", {})
        if SCHEME_DESCRIPTION not in schemes:
            schemes[SCHEME_DESCRIPTION] = {
                "type": "http",
                "scheme": "bearer",
                "bearerFormat": "oodguard_ID_SECRET",
                "description": "A key, as `oodguard keys new` makes it.",
            }
            for path, operations in description["paths"].items():
                if path not in OPEN:
                    for operation in operations.values():
                        _tell(operation, path)
        return description

    return described


def _tell(operation: Description, path: str) -> None:
    role = required_role(path)
    operation["security"] = [{SCHEME_DESCRIPTION: [] if role is None else [role]}]
    spoken = oip.is_spoken(path)
    media_type, shape = (oip.JSON, "OipError") if spoken else (MEDIA_TYPE, "Problem")
    schema: Mapping[str, Any] = {"$ref": f"#/components/schemas/{shape}"}
    for status in REFUSALS:
        operation["responses"].setdefault(
            status, {"description": "A problem", "content": {media_type: {"schema": schema}}}
        )
