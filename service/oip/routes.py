"""/v2: health, metadata and inference, as the protocol names them."""

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from service.answers import Detail
from service.deployments.catalog import Catalog
from service.http.readiness import Readiness
from service.oip.intake import Intake, InThread
from service.oip.metadata import model_metadata, server_metadata
from service.oip.outputs import offered
from service.oip.replies import reply
from service.oip.schemas import Live, ModelMetadata, ModelReady, Ready, ServerMetadata
from service.oip.wire import ANSWER, HEADERS, REQUEST_BODY, parameters, refusals
from service.requests.judging import Judging
from service.routes.predict import RawRoute

MODELS = ("/v2/models/{name}", "/v2/models/{name}/versions/{version}")
REFUSALS = (400, 404, 413, 415, 422, 429, 503, 504)


def router(  # noqa: PLR0913 - the parts of a service
    catalog: Catalog,
    judging: Judging,
    readiness: Readiness,
    in_thread: InThread,
    *,
    version: str,
    detail: Detail,
) -> APIRouter:
    """Make the routes."""

    async def infer(request: Request) -> Response:
        """Judge every image of the tensor `images`."""
        deployment = judging.deployment(request)
        outputs = offered(deployment.model, detail)
        intake = Intake(deployment.model.bundle.manifest.input, outputs, in_thread)
        job = await judging.judge(deployment, request, intake.read)
        return reply(deployment, intake.inference, outputs, job.verdicts.columns)

    routes = APIRouter()
    # First, as routes are tried in their order and these are asked for most.
    routes.include_router(_inference(infer))

    @routes.get("/v2", summary="Which server is this?", operation_id="v2")
    async def server() -> ServerMetadata:
        return server_metadata(version)

    @routes.get("/v2/health/live", summary="Is the process alive?", operation_id="v2_live")
    async def live() -> Live:
        return Live(live=True)

    @routes.get(
        "/v2/health/ready",
        summary="Does it want traffic?",
        operation_id="v2_ready",
        responses=refusals(503),
    )
    async def ready() -> Ready:
        readiness.require_ready()
        return Ready(ready=True)

    async def metadata(request: Request) -> ModelMetadata:
        return model_metadata(catalog, judging.deployment(request), detail)

    async def model_ready(request: Request) -> ModelReady:
        readiness.require_ready()
        return ModelReady(name=judging.deployment(request).name, ready=True)

    for path in MODELS:
        _get(routes, path, metadata, "Which tensors does a model take and tell?")
        _get(routes, f"{path}/ready", model_ready, "Can a model be asked?")
    return routes


def _get(routes: APIRouter, path: str, endpoint: Callable[[Request], Any], summary: str) -> None:
    routes.add_api_route(
        path,
        endpoint,
        summary=summary,
        operation_id=_operation(path),
        responses=refusals(404, 503),
        openapi_extra={"parameters": parameters(path)},
    )


def _inference(infer: Callable[[Request], Coroutine[Any, Any, Response]]) -> APIRouter:
    routes = APIRouter(route_class=RawRoute)
    for path in (f"{each}/infer" for each in MODELS):
        routes.add_api_route(
            path,
            infer,
            methods=["POST"],
            summary="Judge images by a model",
            operation_id=_operation(path),
            response_model=None,
            responses={200: dict(ANSWER), **refusals(*REFUSALS)},
            openapi_extra={
                "requestBody": REQUEST_BODY,
                "parameters": [*HEADERS, *parameters(path)],
            },
        )
    return routes


def _operation(path: str) -> str:
    return path.strip("/").translate(str.maketrans("/", "_", "{}"))
