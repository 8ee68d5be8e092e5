"""The application: the one place where the parts are put together."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import PackageNotFoundError, version

from fastapi import FastAPI

from service import problems
from service.access import AccessMiddleware
from service.metrics import Metrics
from service.pipeline import Pipeline
from service.readiness import Readiness
from service.routes import docs, health, metrics, models, predict
from service.served import load
from service.settings import Settings

OPENAPI = "/openapi.json"


def create_app(settings: Settings, readiness: Readiness | None = None) -> FastAPI:
    """Open the bundle, warm its model up, and put a service around it.

    All of that happens here, so that a bundle is refused before a port is bound; the app is ready
    as its lifespan begins.

    Args:
        settings: What the operator set.
        readiness: Shared with whoever tells the app that it drains; one of its own by default.

    Raises:
        BundleError: The bundle cannot be trusted.
        CalibrationError: Its calibration is too small for the asked alpha and delta.
    """
    readiness = readiness or Readiness()
    model = load(settings)
    model.engine.warm_up()
    pipeline = Pipeline(model, settings)
    counted = Metrics(model)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        readiness.warm()
        yield
        readiness.drain()
        pipeline.close()

    app = FastAPI(
        title="OOD Guard",
        version=_version(),
        lifespan=lifespan,
        openapi_url=OPENAPI,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    routers = [
        predict.router(model, pipeline, counted, readiness),
        health.router(readiness),
        models.router(model),
        metrics.router(counted),
        docs.router(),
    ]
    for router in routers:
        app.include_router(router)
    paths = {getattr(route, "path", OPENAPI) for router in routers for route in router.routes}
    app.add_middleware(AccessMiddleware, metrics=counted, routes={*paths, OPENAPI})
    problems.install(app)
    return app


def _version() -> str:
    try:
        return version("ood-guard")
    except PackageNotFoundError:
        return "0+unknown"
