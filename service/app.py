"""Create the application: connect models, prediction, routes and middleware."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from fastapi import APIRouter, FastAPI
from fastapi.routing import APIRoute, iter_route_contexts
from starlette.middleware.errors import ServerErrorMiddleware

from oodguard.command_line.program import installed_version
from oodguard.service.api import middleware, openapi, operations, predict, problems
from oodguard.service.api.access_log import UNMATCHED_ROUTE, AccessLog, AccessLogMiddleware
from oodguard.service.api.guide import guide_router, missing_guide_router
from oodguard.service.api.turns import TurnMiddleware
from oodguard.service.auth.key_store import KeyStore, open_key_store
from oodguard.service.auth.middleware import (
    AuthorizationMiddleware,
    Authorizer,
    log_authentication_mode,
)
from oodguard.service.auth.rate_limit import RateLimiter
from oodguard.service.client_address import ClientAddresses
from oodguard.service.inference.model import ChoosePolicy, LoadedModel, load_model
from oodguard.service.open_inference import routes as open_inference
from oodguard.service.playground.assets import assets_router
from oodguard.service.playground.inspect import inspect_router
from oodguard.service.playground.samples import samples_router
from oodguard.service.prediction.memory_budget import plan_memory
from oodguard.service.prediction.predictor import Predictor
from oodguard.service.readiness import Readiness
from oodguard.service.registry.deployment import Deployment
from oodguard.service.registry.policy_file import PolicyFile, policy_path, read_policy
from oodguard.service.registry.registry import ModelRegistry, bundle_folders
from oodguard.service.registry.reload import Reloader
from oodguard.service.sampling.stores import open_store
from oodguard.service.server.early_load_shedding import EarlyLoadShedding
from oodguard.service.settings import Settings
from oodguard.service.start_summary import start_summary
from oodguard.service.telemetry.metrics import Metrics
from oodguard.service.telemetry.tracing_config import tracing_from
from oodguard.service.workers.process import OnlyProcess, Process

if TYPE_CHECKING:
    from oodguard.service.telemetry.tracing import Tracing


def create_app(
    settings: Settings,
    readiness: Readiness | None = None,
    tracing: "Tracing | None" = None,
    own_process: Process | None = None,
) -> FastAPI:
    """Load and warm up the models, and create the application.

    The application is ready when its lifespan begins. `app.state` has the `reloader`, the `keys`,
    the `process`, the `admission`, the `load_shedding` and the `summary` for the server.

    Args:
        settings: The settings.
        readiness: The phase of the process, shared with the server; default: a new one.
        tracing: Records spans; default: as the OTEL_* variables configure it.
        own_process: Its process among those of the service; default: the only one.

    Raises:
        BundleError: A bundle cannot be verified, or the default model is ambiguous.
        CalibrationError: A calibration set is too small for alpha and delta.
        DeviceError: The configured device is not available.
        MemoryLimitError: The settings need more memory than the process may have.
        KeyFileError: The API keys cannot be read, or no key has the role admin.
        PolicyError: policy.toml cannot be used.
        SamplingError: The store for sampled images cannot be used.
        TracingError: The OTEL_* variables cannot be used.
    """
    readiness = readiness or Readiness()
    tracing = tracing or tracing_from(os.environ, installed_version())
    process: Process = own_process or OnlyProcess()
    runtime = _runtime_version()
    if settings.state:
        settings = settings.model_copy(update={"state": process.open_state(settings.state)})
    metrics = Metrics(
        build=installed_version(), runtime=runtime, process_metrics=process.workers == 1
    )
    keys = open_key_store(settings, metrics)
    registry = ModelRegistry(PolicyFile(path=policy_path(settings), settings=settings).routing)
    reloader = _create_reloader(registry, settings, metrics, process)
    reloader.start(record=process.records)
    sampler = process.open_sampler(settings, metrics.registry)
    budget = plan_memory(
        settings,
        [each.model.session for each in registry.deployments()],
        workers=process.workers,
        supervisor_bytes=process.supervisor_bytes,
    )
    predictor = Predictor(
        registry,
        settings,
        metrics,
        readiness,
        sampler,
        admission=process.admission(settings),
        large_decode_bytes=budget.large_decodes,
        reserve=process.decode_memory(budget.large_decodes),
    )
    process.connect(metrics, reloader, keys)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        if process.records:
            log_authentication_mode(keys)
        readiness.warm()
        yield
        readiness.drain()
        reloader.close()
        registry.close()
        predictor.decode_pool.close()
        await process.close()
        if tracing:
            tracing.close()

    app = FastAPI(
        title="OOD Guard",
        version=installed_version(),
        lifespan=lifespan,
        servers=[{"url": settings.root_path}] if settings.root_path else None,
        # `operations.docs_router` has these routes, because every route declares its access.
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        # The service's own spans include the stages of a prediction (docs/decisions/0018).
        telemetry={"tracing": False, "metrics": False, "logs": False, "auto_configure": False},
    )
    # https://fastapi.tiangolo.com/how-to/extending-openapi/
    app.openapi = openapi.completed(app.openapi, keys=keys is not None)  # type: ignore[method-assign]
    predict_routes = predict.predict_router(predictor, settings.detail)
    routers = [
        predict_routes,
        *_other_routers(app, settings, registry, predictor, readiness, process, keys),
    ]
    if settings.admin:
        routers.append(operations.admin_router(process.reload, registry))
    for router in routers:
        app.include_router(router)
    _publish_requests(app, metrics)

    access_log = AccessLog(metrics, ClientAddresses(settings.trusted_proxies or ()))
    authorizer = None
    if keys is not None:
        authorizer = Authorizer(
            keys, RateLimiter(settings.requests_per_minute, process.rates), metrics, app.router
        )
    default_route = predict.default_route(predict_routes)
    _add_middleware(
        app, settings, readiness, predictor, default_route, authorizer, access_log, tracing
    )
    problems.add_handlers(app)

    app.state.summary = start_summary(
        settings,
        version=installed_version(),
        runtime=runtime,
        processes=process.workers,
        registry=registry,
        keys=keys,
        budget=budget,
    )
    app.state.admission = predictor.admission
    app.state.reloader, app.state.keys, app.state.process = reloader, keys, process
    shedding = EarlyLoadShedding(
        route=default_route,
        may_be_full=predictor.may_shed,
        requirements=[*([authorizer.require] if authorizer else []), predictor.require_capacity],
        readiness=readiness,
        access_log=access_log,
        add_headers=middleware.add_security_headers,
    )
    # Spans and CORS headers are added by middleware, which early load shedding bypasses.
    is_bypass_safe = tracing is None and settings.cors_origins is None
    app.state.load_shedding = shedding if is_bypass_safe else None
    return app


def _other_routers(  # noqa: PLR0913 - the parts that the routes use
    app: FastAPI,
    settings: Settings,
    registry: ModelRegistry,
    predictor: Predictor,
    readiness: Readiness,
    process: Process,
    keys: KeyStore | None,
) -> list[APIRouter]:
    """Return the routers except that of `/predict` and those of administrators."""
    detail = settings.detail
    guide = missing_guide_router() if settings.guide is None else guide_router(settings.guide)
    page = _playground_routers(settings, predictor, keys) if settings.playground else ()
    return [
        open_inference.router(
            registry, predictor, readiness, version=installed_version(), detail=detail
        ),
        operations.health_router(readiness),
        operations.models_router(registry, detail),
        operations.metrics_router(
            process.collect, withhold_scores=detail == "verdict" and keys is None
        ),
        operations.docs_router(app.openapi),
        guide,
        *page,
    ]


def _playground_routers(
    settings: Settings, predictor: Predictor, keys: KeyStore | None
) -> list[APIRouter]:
    """Return the routers of the playground; that of samples needs admin keys and a store."""
    store = None
    if settings.admin and settings.sample_to is not None:
        store = open_store(settings.sample_to, write=False)
    config = {
        "keys": keys is not None,
        "detail": settings.detail,
        "samples": store is not None,
        "guide": settings.guide is not None,
        "max_images": settings.max_images,
        "max_body_bytes": settings.max_body_bytes,
    }
    routers = [assets_router(config), inspect_router(predictor, settings.detail)]
    if store is not None:
        routers.append(samples_router(store, settings.max_body_bytes))
    return routers


def _add_middleware(  # noqa: PLR0913 - one argument for each middleware
    app: FastAPI,
    settings: Settings,
    readiness: Readiness,
    predictor: Predictor,
    default_route: APIRoute,
    authorizer: Authorizer | None,
    access_log: AccessLog,
    tracing: "Tracing | None",
) -> None:
    """Add the middleware, from the innermost to the outermost."""
    app.add_middleware(middleware.HeadMiddleware)
    app.add_middleware(middleware.FastPathMiddleware, route=default_route)
    if authorizer is not None:
        app.add_middleware(
            AuthorizationMiddleware, authorizer=authorizer, on_error=problems.error_response
        )
    # In addition to FastAPI's own, so that the response to an unexpected error passes the others.
    app.add_middleware(ServerErrorMiddleware, handler=problems.on_unexpected_error)
    # Outside of the authorization: requests without a key take turns, and have responses, too.
    # Inside of the middleware that adds headers: its 429 has them, too.
    app.add_middleware(
        TurnMiddleware, require=predictor.require_reader, on_error=problems.error_response
    )
    if settings.cors_origins is not None:
        # Outside of the authorization: a preflight request has no key.
        app.add_middleware(middleware.CorsMiddleware, origins=settings.cors_origins)
    app.add_middleware(middleware.ResponseHeadersMiddleware, readiness=readiness)
    app.add_middleware(AccessLogMiddleware, access_log=access_log, tracing=tracing)


def _publish_requests(app: FastAPI, metrics: Metrics) -> None:
    """Expose the request counters of every route, and those of requests without a route."""
    for path in {route.path or UNMATCHED_ROUTE for route in iter_route_contexts(app.router.routes)}:
        predicts = path.endswith(("/predict", "/infer"))
        metrics.publish_requests(path, {200, 500, *(predict.PROBLEM_STATUSES if predicts else ())})
    metrics.publish_requests(UNMATCHED_ROUTE, (401, 403, 404, 405, 429, 500))


def _create_reloader(
    registry: ModelRegistry, settings: Settings, metrics: Metrics, process: Process
) -> Reloader:
    open_monitor = process.open_monitor(metrics, settings)

    def load_and_warm_up(folder: Path, choose_policy: ChoosePolicy) -> LoadedModel:
        model = load_model(folder, settings, choose_policy)
        model.session.warm_up()
        return model

    return Reloader(
        registry=registry,
        folders=lambda: bundle_folders(settings),
        read_policy=lambda: read_policy(settings),
        load=load_and_warm_up,
        deploy=lambda model: Deployment(model, metrics, settings, open_monitor),
        metrics=metrics,
    )


def _runtime_version() -> str:
    # Importing the runtime starts a thread, and a process with threads must not fork.
    from oodguard.service.inference import session  # noqa: PLC0415

    return session.VERSION
