"""The routes for operators: health, models, metrics, reload, and the API's description."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import orjson
from fastapi import APIRouter
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.types import Receive, Scope, Send

from oodguard.service import responses
from oodguard.service.api.schemas import (
    BundleChange,
    DriftBefore,
    DriftReset,
    DriftResetResponse,
    Health,
    ModelsResponse,
    Problem,
    ReloadResponse,
)
from oodguard.service.auth.roles import PUBLIC, requires
from oodguard.service.drift.martingale import DriftEvidence
from oodguard.service.errors import BundleRejected
from oodguard.service.readiness import Readiness
from oodguard.service.registry.changes import Change
from oodguard.service.registry.deployment import Deployment
from oodguard.service.registry.registry import ModelRegistry
from oodguard.service.settings import POLICY_FILE
from oodguard.service.telemetry.metrics import WithoutScores

Reload: TypeAlias = Callable[[str | None], Awaitable[list[Change]]]


def health_router(readiness: Readiness) -> APIRouter:
    """Create /healthz and /readyz."""
    router = APIRouter(dependencies=[PUBLIC])

    @router.get("/healthz", summary="Is the process alive?")
    async def healthz() -> Health:
        return Health(status="alive")

    @router.get(
        "/readyz",
        summary="Does the process accept traffic? Not before warm-up and not while draining.",
        responses={503: {"model": Problem}},
    )
    async def readyz() -> Health:
        readiness.require_ready()
        return Health(status=readiness.phase)

    return router


def models_router(registry: ModelRegistry, detail: responses.Detail = "full") -> APIRouter:
    """Create /models."""
    router = APIRouter(dependencies=[requires("predict")])

    @router.get("/models", summary="The loaded models", response_model=ModelsResponse)
    async def models() -> Response:
        facts = [responses.model_facts(each.model, detail) for each in registry.deployments()]
        default = registry.default
        body = {
            "default": default.name,
            "default_version": default.version,
            "shadow": _shadow_facts(registry),
            "models": facts,
        }
        return Response(orjson.dumps(body), media_type="application/json")

    return router


def _shadow_facts(registry: ModelRegistry) -> Mapping[str, object] | None:
    shadow, share = registry.shadow, registry.routing.shadow_share
    if shadow is None:
        return None
    return {"name": shadow.name, "version": shadow.version, "share": share}


def metrics_router(
    collect: Callable[[], Awaitable[Collector]], *, withhold_scores: bool = False
) -> APIRouter:
    """Create /metrics, with or without the metrics that reveal the score of a single image.

    Args:
        collect: Returns the metrics of the service.
        withhold_scores: Whether to omit those metrics.
    """
    router = APIRouter(dependencies=[requires("metrics")])

    @router.get("/metrics", summary="Metrics for Prometheus", response_class=Response)
    async def exposition(request: Request) -> Response:
        encode, media_type = choose_encoder(request.headers.get("accept", ""))
        metrics = await collect()
        shown = WithoutScores(metrics) if withhold_scores else metrics
        return Response(encode(shown), headers={"content-type": media_type})

    return router


def admin_router(reload: Reload, registry: ModelRegistry) -> APIRouter:
    """Create the routes under /admin; `reload` reloads one model, or all of them."""
    router = APIRouter(
        prefix="/admin",
        dependencies=[requires("admin")],
        responses={404: {"model": Problem}, 409: {"model": Problem}},
    )

    @router.post("/models/reload", summary="Reload every bundle")
    async def reload_all() -> ReloadResponse:
        return _reload_response(await reload(None))

    @router.post("/models/{name}/reload", summary="Reload the bundles of a model")
    async def reload_one(name: str) -> ReloadResponse:
        return _reload_response(await reload(name))

    @router.post(
        "/models/{name}/drift/reset",
        summary="Reset the drift evidence of every version of a model",
        responses={503: {"model": Problem}},
    )
    async def reset_drift(name: str, request: Request) -> DriftResetResponse:
        return await _reset_drift(registry.versions(name), request)

    @router.post(
        "/models/{name}/versions/{version}/drift/reset",
        summary="Reset the drift evidence of one version of a model",
        responses={503: {"model": Problem}},
    )
    async def reset_drift_of_version(
        name: str, version: str, request: Request
    ) -> DriftResetResponse:
        return await _reset_drift([registry.find(name, version)], request)

    return router


async def _reset_drift(deployments: Sequence[Deployment], request: Request) -> DriftResetResponse:
    """Reset the evidence of each deployment in a thread, because its state is written to disk."""
    by = f"key {request.scope['state']['key']}"
    resets = []
    for each in deployments:
        before = await asyncio.to_thread(each.reset_drift, by)
        resets.append(DriftReset(model=each.name, version=each.version, **_before(before)))
    return DriftResetResponse(resets=resets)


def _before(evidence: Mapping[str, DriftEvidence]) -> Mapping[str, DriftBefore]:
    return {
        test: DriftBefore(log_martingale=each.log_martingale, alarms=each.alarms, images=each.steps)
        for test, each in evidence.items()
    }


def _reload_response(changes: Sequence[Change]) -> ReloadResponse:
    """Return the changes, or raise BundleRejected; the accepted changes stay in effect."""
    rejected = [
        # The error of a policy begins with the path of its file.
        each.detail if each.model == POLICY_FILE else f"{each.folder.name}: {each.detail}"
        for each in changes
        if each.outcome == "refused"
    ]
    if rejected:
        raise BundleRejected(f"{'; '.join(rejected)} (the previous version is still served)")
    return ReloadResponse(
        changes=[
            BundleChange(
                model=each.model, version=each.version, outcome=each.outcome, detail=each.detail
            )
            for each in changes
        ]
    )


_STATIC = Path(__file__).parent.parent / "static"

_DOCS_FILES: Mapping[str, Path] = {
    "/docs": _STATIC / "docs.html",
    "/docs/start.js": _STATIC / "start.js",
    "/docs/swagger-ui-bundle.js": _STATIC / "swagger-ui" / "swagger-ui-bundle.js",
    "/docs/swagger-ui.css": _STATIC / "swagger-ui" / "swagger-ui.css",
    "/docs/favicon.png": _STATIC / "swagger-ui" / "favicon-32x32.png",
}

# The page loads from this service only. Swagger UI uses inline styles and data: images.
_DOCS_POLICY = "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:"


def docs_router(schema: Callable[[], Mapping[str, Any]]) -> APIRouter:
    """Create /openapi.json, and /docs with its local files."""
    router = APIRouter(dependencies=[PUBLIC], include_in_schema=False)

    @router.get("/openapi.json")
    async def openapi() -> Response:
        return Response(orjson.dumps(schema()), media_type="application/json")

    for path, file in _DOCS_FILES.items():
        router.add_api_route(path, _file_endpoint(file), response_model=None)
    return router


class WholeFile(FileResponse):
    """A file without ranges: Starlette answers their errors with plain text, not a problem."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the file."""
        headers = [each for each in scope["headers"] if each[0] != b"range"]
        await super().__call__({**scope, "headers": headers}, receive, send)


def _file_endpoint(file: Path) -> Callable[[Request], Coroutine[Any, Any, FileResponse]]:
    headers = {"content-security-policy": _DOCS_POLICY, "accept-ranges": "none"}

    async def endpoint(_request: Request) -> FileResponse:
        return WholeFile(file, headers=headers)

    return endpoint
