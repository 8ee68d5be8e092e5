"""Which role a path wants."""

from collections.abc import Mapping

from service.routes.docs import PAGES
from service.security.roles import Role

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


def role_wanted(path: str) -> Role | None:
    """The role that a key needs for a path that is not open; none: there is nothing at it.

    Without a key all such paths look the same, whether there is something at them or not.
    """
    return BY_FIRST_SEGMENT.get(path[1:].partition("/")[0])
