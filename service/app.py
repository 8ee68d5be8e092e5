"""The application: the one place where the parts are put together."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

from fastapi import FastAPI
from starlette.types import ASGIApp

from oodguard.service.api import middleware as headers
from oodguard.service.api import operations, predict, problems
from oodguard.service.api.access_log import AccessLog, AccessMiddleware
from oodguard.service.api.middleware import DrainingMiddleware, FastPathMiddleware, LayeredFastAPI
from oodguard.service.auth.key_store import open_key_store
from oodguard.service.auth.middleware import (
    authorizer_from,
    log_authentication_mode,
    protect,
    with_keys,
)
from oodguard.service.inference import session as engine
from oodguard.service.inference.model import LoadedModel, load_model
from oodguard.service.open_inference import routes as oip
from oodguard.service.prediction.predictor import Predictor
from oodguard.service.readiness import Readiness
from oodguard.service.registry.deployment import Deployment
from oodguard.service.registry.registry import ModelRegistry, bundle_folders
from oodguard.service.registry.reload import Reloader
from oodguard.service.sampling.sampler import sampler_from
from oodguard.service.server.http_protocol import EarlyLoadShedding
from oodguard.service.settings import Settings
from oodguard.service.telemetry.metrics import Metrics
from oodguard.service.telemetry.tracing_config import tracing_from

if TYPE_CHECKING:
    from oodguard.service.telemetry.tracing import Tracing

OPENAPI = "/openapi.json"


def create_app(
    settings: Settings, readiness: Readiness | None = None, tracing: "Tracing | None" = None
) -> FastAPI:
    """Open the bundles, warm their models up, and put a service around them.

    All of that happens here, so that a bundle is refused before a port is bound; the app is ready
    as its lifespan begins.

    Args:
        settings: What the operator set.
        readiness: Shared with whoever tells the app that it drains; one of its own by default.
        tracing: Where requests are traced; by default as the OTEL_* variables say.

    Raises:
        BundleError: A bundle cannot be trusted, or it is not clear which one is the default.
        CalibrationError: A calibration is too small for the asked alpha and delta.
        DeviceError: The device that the settings name is not there.
        KeyFileError: The keys cannot be used, or nobody could ask for the admin routes.
        SamplingError: Rejected images are to be kept in a place that cannot be had.
        TracingError: The OTEL_* variables ask for what cannot be had.
    """
    readiness = readiness or Readiness()
    tracing = tracing or tracing_from(os.environ, _version())
    counted = Metrics(build=_version(), runtime=engine.VERSION)
    keys = open_key_store(settings, counted)
    catalog = ModelRegistry(settings.default_model)
    reloader = _reloader(catalog, settings, counted)
    reloader.start()
    sampler = sampler_from(settings, counted.registry)
    predictor = Predictor(catalog, settings, counted, readiness, sampler)
    judged = predict.router(predictor, settings.detail)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        log_authentication_mode(keys)
        readiness.warm()
        yield
        readiness.drain()
        reloader.close()
        predictor.close()
        catalog.close()
        if sampler:
            sampler.close()
        if tracing:
            tracing.close()

    app = LayeredFastAPI(
        title="OOD Guard",
        version=_version(),
        lifespan=lifespan,
        openapi_url=OPENAPI,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        # Its own spans would stand beside ours, which know of the stages and cost half as much.
        telemetry={"tracing": False, "metrics": False, "logs": False, "auto_configure": False},
    )
    app.state.reloader = reloader
    app.state.keys = keys
    routers = [
        judged,
        oip.router(
            catalog,
            predictor,
            readiness,
            version=_version(),
            detail=settings.detail,
        ),
        operations.health_router(readiness),
        operations.models_router(catalog, settings.detail),
        operations.metrics_router(
            counted, withhold_scores=settings.detail == "verdict" and keys is None
        ),
        operations.docs_router(),
    ]
    if settings.admin:
        routers.append(operations.admin_router(reloader))
    for router in routers:
        app.include_router(router)

    admittance = authorizer_from(keys, settings, counted)
    accounts = AccessLog(counted)
    busiest = predict.default_route(judged)

    def around(framework: ASGIApp) -> ASGIApp:
        answering = FastPathMiddleware(framework, route=busiest)
        guarded = protect(answering, settings, admittance)
        parting = DrainingMiddleware(guarded, readiness=readiness)
        return AccessMiddleware(parting, accounts=accounts, tracing=tracing)

    app.around = around
    # Spans, and what a page of another origin wants to read, are made further inside.
    app.state.door = None
    if tracing is None and settings.cors_origins is None:
        app.state.door = EarlyLoadShedding(
            route=busiest,
            full=lambda: predictor.full,
            requirements=[
                *([admittance.require] if admittance else []),
                predictor.require_capacity,
            ],
            readiness=readiness,
            accounts=accounts,
            guard=headers.add_to,
        )
    if keys is not None:
        # FastAPI has it replaced like this: https://fastapi.tiangolo.com/how-to/extending-openapi/
        app.openapi = with_keys(app.openapi)  # type: ignore[method-assign]
    problems.install(app)
    return app


def _reloader(catalog: ModelRegistry, settings: Settings, counted: Metrics) -> Reloader:
    def warmed_up(folder: Path) -> LoadedModel:
        model = load_model(folder, settings)
        model.engine.warm_up()
        return model

    def deployed(model: LoadedModel) -> Deployment:
        return Deployment(model, counted, settings)

    return Reloader(
        catalog,
        folders=lambda: bundle_folders(settings),
        load=warmed_up,
        deploy=deployed,
        metrics=counted,
    )


def _version() -> str:
    try:
        return version("ood-guard")
    except PackageNotFoundError:
        return "0+unknown"
