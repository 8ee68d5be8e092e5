"""GET /metrics: for Prometheus, in the format it asks for."""

from fastapi import APIRouter
from prometheus_client.exposition import choose_encoder
from starlette.requests import Request
from starlette.responses import Response

from service.metrics import Metrics
from service.security.withheld import WithoutScores


def router(metrics: Metrics, *, withhold_scores: bool = False) -> APIRouter:
    """Make the route.

    Args:
        metrics: What is told.
        withhold_scores: Whether to leave out what follows the score of a single image.
    """
    routes = APIRouter()
    told = WithoutScores(metrics.registry) if withhold_scores else metrics.registry

    @routes.get("/metrics", summary="Metrics for Prometheus", response_class=Response)
    async def exposition(request: Request) -> Response:
        encode, media_type = choose_encoder(request.headers.get("accept", ""))
        return Response(encode(told), headers={"content-type": media_type})

    return routes
