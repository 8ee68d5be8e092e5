"""GET /healthz and /readyz: is the process alive, and does it want traffic?"""

from fastapi import APIRouter

from service.http.readiness import Readiness
from service.routes.schemas import Health, Problem


def router(readiness: Readiness) -> APIRouter:
    """Make the two routes."""
    routes = APIRouter()

    @routes.head("/healthz", include_in_schema=False)
    @routes.get("/healthz", summary="Is the process alive?")
    async def healthz() -> Health:
        return Health(status="alive")

    @routes.head("/readyz", include_in_schema=False)
    @routes.get(
        "/readyz",
        summary="Does it want traffic? Not before it is warm, nor while it drains.",
        responses={503: {"model": Problem}},
    )
    async def readyz() -> Health:
        readiness.require_ready()
        return Health(status=readiness.phase)

    return routes
