"""The routes under /v2: health, metadata and inference."""

from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from oodguard.service.api.predict import PROBLEM_STATUSES, RawRoute
from oodguard.service.api.schemas import operation_id, path_parameters
from oodguard.service.auth.roles import PUBLIC, requires
from oodguard.service.client_address import client_of
from oodguard.service.images.formats import CHANNELS
from oodguard.service.open_inference.reader import InferenceReader
from oodguard.service.open_inference.response import available_outputs, infer_response
from oodguard.service.open_inference.schemas import (
    HEADERS,
    REQUEST_BODY,
    RESPONSE,
    Live,
    ModelMetadata,
    ModelReady,
    Ready,
    ServerMetadata,
    TensorMetadata,
    error_responses,
)
from oodguard.service.prediction.predictor import Predictor
from oodguard.service.readiness import Readiness
from oodguard.service.registry.deployment import Deployment
from oodguard.service.registry.registry import ModelRegistry
from oodguard.service.responses import Detail

SERVER_NAME = "ood-guard"

EXTENSIONS = ("binary_tensor_data",)

PLATFORM = "onnx_onnxv1"

FREE = -1

MODEL_PATHS = ("/v2/models/{name}", "/v2/models/{name}/versions/{version}")


def model_metadata(
    registry: ModelRegistry, deployment: Deployment, detail: Detail
) -> ModelMetadata:
    """Return the tensors of one version of a model, and all its versions."""
    spec = deployment.model.bundle.manifest.input
    images = TensorMetadata(
        name="images", datatype="UINT8", shape=[FREE, spec.height, spec.width, CHANNELS]
    )
    return ModelMetadata(
        name=deployment.name,
        versions=[each.version for each in registry.deployments() if each.name == deployment.name],
        platform=PLATFORM,
        inputs=[images],
        outputs=[
            TensorMetadata(name=name, datatype=output.datatype, shape=output.shape(FREE))
            for name, output in available_outputs(deployment.model, detail).items()
        ],
    )


def router(
    registry: ModelRegistry,
    predictor: Predictor,
    readiness: Readiness,
    *,
    version: str,
    detail: Detail,
) -> APIRouter:
    """Create the routes; `version` is that of the server."""

    async def infer(request: Request) -> Response:
        """Predict every image of the tensor `images`."""
        deployment = predictor.deployment(request)
        outputs = available_outputs(deployment.model, detail)
        spec = deployment.model.bundle.manifest.input
        run_in_thread = partial(predictor.decode_pool.run, client_of(request.scope))
        reader = InferenceReader(spec, outputs, run_in_thread)
        job = await predictor.predict(deployment, request, reader.read)
        return infer_response(deployment, reader.inference, outputs, job)

    routes = APIRouter()
    # Routes are matched in order: the most frequent comes first.
    routes.include_router(_infer_routes(infer))

    @routes.get(
        "/v2", summary="Server metadata", operation_id="v2", dependencies=[requires("predict")]
    )
    async def server() -> ServerMetadata:
        return ServerMetadata(name=SERVER_NAME, version=version, extensions=list(EXTENSIONS))

    @routes.get(
        "/v2/health/live", summary="Liveness", operation_id="v2_live", dependencies=[PUBLIC]
    )
    async def live() -> Live:
        return Live(live=True)

    @routes.get(
        "/v2/health/ready",
        summary="Readiness",
        operation_id="v2_ready",
        dependencies=[PUBLIC],
        responses=error_responses(503),
    )
    async def ready() -> Ready:
        readiness.require_ready()
        return Ready(ready=True)

    async def metadata(request: Request) -> ModelMetadata:
        return model_metadata(registry, predictor.deployment(request), detail)

    async def model_ready(request: Request) -> ModelReady:
        readiness.require_ready()
        return ModelReady(name=predictor.deployment(request).name, ready=True)

    for path in MODEL_PATHS:
        _add_get(routes, path, metadata, "Metadata of a model")
        _add_get(routes, f"{path}/ready", model_ready, "Readiness of a model")
    return routes


def _add_get(
    routes: APIRouter, path: str, endpoint: Callable[[Request], Any], summary: str
) -> None:
    routes.add_api_route(
        path,
        endpoint,
        summary=summary,
        operation_id=operation_id(path),
        dependencies=[requires("predict")],
        responses=error_responses(404, 503),
        openapi_extra={"parameters": path_parameters(path)},
    )


def _infer_routes(infer: Callable[[Request], Coroutine[Any, Any, Response]]) -> APIRouter:
    routes = APIRouter(route_class=RawRoute, dependencies=[requires("predict")])
    for path in (f"{each}/infer" for each in MODEL_PATHS):
        routes.add_api_route(
            path,
            infer,
            methods=["POST"],
            summary="Predict images",
            operation_id=operation_id(path),
            response_model=None,
            responses={200: dict(RESPONSE), **error_responses(*PROBLEM_STATUSES)},
            openapi_extra={
                "requestBody": REQUEST_BODY,
                "parameters": [*HEADERS, *path_parameters(path)],
            },
        )
    return routes
