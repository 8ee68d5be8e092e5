"""Declare on a router or route which role an API key needs.

Every route declares one of `requires(role)` and `PUBLIC` in its `dependencies`. FastAPI describes
the declaration in the OpenAPI schema; `service.auth.middleware` enforces it before the request
reaches FastAPI. A route without a declaration is forbidden for every key.
"""

from fastapi import Depends, Security, params
from fastapi.routing import RouteContext
from fastapi.security import HTTPBearer
from starlette.routing import BaseRoute

from oodguard.service.auth.keys import Role

SCHEME = "key"

_bearer = HTTPBearer(
    scheme_name=SCHEME,
    bearerFormat="oodguard_ID_SECRET",
    description="An API key, as printed by `oodguard keys new`.",
    auto_error=False,
)


def requires(role: Role) -> params.Security:
    """Declare that a route requires a key with a role."""
    security: params.Security = Security(_bearer, scopes=[role])
    return security


async def _no_key() -> None:
    """Mark a route that requires no key."""


PUBLIC: params.Depends = Depends(_no_key)


def required_roles(route: BaseRoute | RouteContext) -> frozenset[str] | None:
    """Return the roles that a route declares, by itself or by a router that includes it.

    Returns:
        All of the roles that a key must have; empty for a public route; None if the route declares
        nothing.
    """
    declared = getattr(route, "dependencies", ())
    roles = frozenset(
        role
        for each in declared
        if isinstance(each, params.Security) and each.dependency is _bearer
        for role in each.scopes or ()
    )
    return roles if roles or PUBLIC in declared else None
