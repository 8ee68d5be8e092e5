"""GET /healthz and /readyz: is the process alive, and does it want traffic?"""

from collections.abc import Callable, Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson
from fastapi import APIRouter
from prometheus_client.exposition import choose_encoder
from starlette.requests import Request
from starlette.responses import FileResponse, Response

from oodguard.service import responses as answers
from oodguard.service.api.schemas import BundleChange, Health, ModelsAnswer, Problem, ReloadAnswer
from oodguard.service.errors import BundleRejected
from oodguard.service.readiness import Readiness
from oodguard.service.registry.registry import ModelRegistry
from oodguard.service.registry.reload import Change, Reloader
from oodguard.service.telemetry.metrics import Metrics, WithoutScores


def models_router(catalog: ModelRegistry, detail: answers.Detail = "full") -> APIRouter:
    """Make the route."""
    routes = APIRouter()

    @routes.get("/models", summary="The models that are served", response_model=ModelsAnswer)
    async def models() -> Response:
        served = [answers.facts(each.model, detail) for each in catalog.deployments()]
        default = catalog.default
        answer = {"default": default.name, "default_version": default.version, "models": served}
        return Response(orjson.dumps(answer), media_type="application/json")

    return routes


REFUSALS: dict[int | str, dict[str, object]] = {404: {"model": Problem}, 409: {"model": Problem}}


def admin_router(reloader: Reloader) -> APIRouter:
    """Make the routes."""
    routes = APIRouter(prefix="/admin")

    @routes.post("/models/reload", summary="Look at every bundle again", responses=REFUSALS)
    async def reload_all() -> ReloadAnswer:
        return _answer(await reloader.reload())

    @routes.post(
        "/models/{name}/reload", summary="Look at one model's bundles again", responses=REFUSALS
    )
    async def reload_one(name: str) -> ReloadAnswer:
        return _answer(await reloader.reload(name))

    return routes


def _answer(changes: Sequence[Change]) -> ReloadAnswer:
    """Tell what changed.

    Raises:
        BundleRejected: Something was refused; what was accepted is served all the same.
    """
    refused = [f"{each.folder.name}: {each.detail}" for each in changes if each.detail]
    if refused:
        raise BundleRejected(f"{'; '.join(refused)} (what was served before still is)")
    return ReloadAnswer(
        changes=[
            BundleChange(model=each.model, version=each.version, outcome=each.outcome)
            for each in changes
        ]
    )


def metrics_router(metrics: Metrics, *, withhold_scores: bool = False) -> APIRouter:
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


STATIC = Path(__file__).parent.parent / "static"

PAGES: Mapping[str, Path] = {
    "/docs": STATIC / "docs.html",
    "/docs/start.js": STATIC / "start.js",
    "/docs/swagger-ui-bundle.js": STATIC / "swagger-ui" / "swagger-ui-bundle.js",
    "/docs/swagger-ui.css": STATIC / "swagger-ui" / "swagger-ui.css",
    "/docs/favicon.png": STATIC / "swagger-ui" / "favicon-32x32.png",
}

# The page may load and ask nothing but this service; Swagger UI styles itself and draws icons.
POLICY = "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:"


def docs_router() -> APIRouter:
    """Make a route for each file."""
    routes = APIRouter()
    for path, file in PAGES.items():
        routes.add_api_route(path, _page(file), include_in_schema=False, response_model=None)
    return routes


def _page(file: Path) -> Callable[[Request], Coroutine[Any, Any, FileResponse]]:
    async def page(_request: Request) -> FileResponse:
        return FileResponse(file, headers={"content-security-policy": POLICY})

    return page


def health_router(readiness: Readiness) -> APIRouter:
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
