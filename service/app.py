"""The application: the one place where the parts are put together."""

import os
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

from fastapi import FastAPI
from starlette.types import ASGIApp

from service.deployments.catalog import Catalog
from service.deployments.deployment import Deployment
from service.deployments.folders import bundle_folders
from service.deployments.reloading import Reloader
from service.deployments.served import ServedModel, load
from service.deployments.shadow import Shadow
from service.http import problems
from service.http.access import AccessMiddleware, Accounts
from service.http.direct import DirectMiddleware
from service.http.door import Door
from service.http.farewell import FarewellMiddleware
from service.http.layers import LayeredFastAPI
from service.http.readiness import Readiness
from service.inference import engine
from service.metrics import Metrics
from service.oip import routes as oip
from service.requests.judging import Judging
from service.requests.pipeline import Pipeline
from service.routes import admin, docs, health, metrics, models, predict
from service.samples.start import sampler_from
from service.security import headers
from service.security.around import admittance_by, protect, tell_who_may_ask
from service.security.description import with_keys
from service.security.held_keys import held_keys
from service.settings import Settings
from service.tracing.start import tracing_from

if TYPE_CHECKING:
    from service.tracing.requests import Tracing

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
        KeysRefused: The keys cannot be used, or nobody could ask for the admin routes.
        SamplesRefused: Rejected images are to be kept in a place that cannot be had.
        TracingRefused: The OTEL_* variables ask for what cannot be had.
    """
    readiness = readiness or Readiness()
    tracing = tracing or tracing_from(os.environ, _version())
    counted = Metrics(build=_version(), runtime=engine.VERSION)
    keys = held_keys(settings, counted)
    catalog = Catalog(settings.default_model)
    reloader = _reloader(catalog, settings, counted)
    reloader.start()
    pipeline = Pipeline(settings, counted)
    shadow = Shadow(
        catalog,
        pipeline,
        model=settings.shadow_model,
        share=settings.shadow_share,
        chance=random.Random(),  # noqa: S311 - which requests are looked at twice is no secret
    )
    shadow.require_model()
    sampler = sampler_from(settings, counted.registry)
    judging = Judging(catalog, pipeline, shadow, readiness, sampler)
    judged = predict.router(judging, settings.detail)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        tell_who_may_ask(keys)
        readiness.warm()
        yield
        readiness.drain()
        reloader.close()
        pipeline.close()
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
            judging,
            readiness,
            pipeline.in_thread,
            version=_version(),
            detail=settings.detail,
        ),
        health.router(readiness),
        models.router(catalog, settings.detail),
        metrics.router(counted, withhold_scores=settings.detail == "verdict" and keys is None),
        docs.router(),
    ]
    if settings.admin:
        routers.append(admin.router(reloader))
    for router in routers:
        app.include_router(router)

    admittance = admittance_by(keys, settings, counted)
    accounts = Accounts(counted)
    busiest = predict.default_route(judged)

    def around(framework: ASGIApp) -> ASGIApp:
        answering = DirectMiddleware(framework, route=busiest)
        guarded = protect(answering, settings, admittance)
        parting = FarewellMiddleware(guarded, readiness=readiness)
        return AccessMiddleware(parting, accounts=accounts, tracing=tracing)

    app.around = around
    # Spans, and what a page of another origin wants to read, are made further inside.
    app.state.door = None
    if tracing is None and settings.cors_origins is None:
        app.state.door = Door(
            route=busiest,
            full=lambda: pipeline.full,
            requirements=[
                *([admittance.require] if admittance else []),
                pipeline.require_place,
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


def _reloader(catalog: Catalog, settings: Settings, counted: Metrics) -> Reloader:
    def warmed_up(folder: Path) -> ServedModel:
        model = load(folder, settings)
        model.engine.warm_up()
        return model

    def deployed(model: ServedModel) -> Deployment:
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
