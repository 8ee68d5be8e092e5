"""GET /metrics: for Prometheus, in the format it asks for."""

from fastapi import APIRouter
from prometheus_client.exposition import choose_encoder
from starlette.requests import Request
from starlette.responses import Response

from service.metrics import Metrics


def router(metrics: Metrics) -> APIRouter:
    """Make the route."""
    routes = APIRouter()

    @routes.get("/metrics", summary="Metrics for Prometheus", response_class=Response)
    async def exposition(request: Request) -> Response:
        encode, media_type = choose_encoder(request.headers.get("accept", ""))
        return Response(encode(metrics.registry), headers={"content-type": media_type})

    return routes
