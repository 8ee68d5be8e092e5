"""/v2: health, metadata and inference, as the protocol names them."""

import re
from collections.abc import Awaitable, Callable, Collection, Coroutine
from typing import Any, TypeAlias

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from oodguard.models.manifest import InputSpec
from oodguard.service.api.predict import RawRoute
from oodguard.service.api.problems import JSON
from oodguard.service.auth.roles import PUBLIC, requires
from oodguard.service.errors import MalformedBody, UnsupportedContent, WrongFields
from oodguard.service.images.body import RAW_PIXELS, read_bytes
from oodguard.service.images.types import Body
from oodguard.service.open_inference import request as tensors
from oodguard.service.open_inference.request import Inference, parse_inference
from oodguard.service.open_inference.response import BINARY, HEADER_LENGTH, offered, reply
from oodguard.service.open_inference.schemas import (
    ANSWER,
    HEADERS,
    REQUEST_BODY,
    Live,
    ModelMetadata,
    ModelReady,
    Ready,
    ServerMetadata,
    TensorMetadata,
    parameters,
    refusals,
)
from oodguard.service.prediction.predictor import Predictor
from oodguard.service.readiness import Readiness
from oodguard.service.registry.deployment import Deployment
from oodguard.service.registry.registry import ModelRegistry
from oodguard.service.responses import Detail

NAME = "ood-guard"

EXTENSIONS = ("binary_tensor_data",)

PLATFORM = "onnx_onnxv1"

FREE = -1


def server_metadata(version: str) -> ServerMetadata:
    """Which server this is."""
    return ServerMetadata(name=NAME, version=version, extensions=list(EXTENSIONS))


def model_metadata(catalog: ModelRegistry, deployment: Deployment, detail: Detail) -> ModelMetadata:
    """What one version of a model takes and tells, and which other versions there are."""
    spec = deployment.model.bundle.manifest.input
    images = TensorMetadata(
        name=tensors.NAME,
        datatype=tensors.DATATYPE,
        shape=[FREE, spec.height, spec.width, tensors.CHANNELS],
    )
    return ModelMetadata(
        name=deployment.name,
        versions=[each.version for each in catalog.deployments() if each.name == deployment.name],
        platform=PLATFORM,
        inputs=[images],
        outputs=[
            TensorMetadata(name=name, datatype=output.datatype, shape=output.shape(FREE))
            for name, output in offered(deployment.model, detail).items()
        ],
    )


WHOLE_NUMBER = re.compile(r"[0-9]{1,18}", re.ASCII)

# Parsing more JSON than this takes longer than waking a thread.
QUICK_BYTES = 2**14

InThread: TypeAlias = Callable[[Callable[[], Inference]], Awaitable[Inference]]


class Intake:
    """Reads one inference request.

    Args:
        spec: The model's input.
        offered: Names of the outputs that there are.
        in_thread: Calls a function that takes its time.

    Attributes:
        inference: What was understood, once it has been read.
    """

    inference: Inference

    def __init__(self, spec: InputSpec, offered: Collection[str], in_thread: InThread) -> None:
        self._spec = spec
        self._offered = offered
        self._in_thread = in_thread

    async def read(self, request: Request, max_bytes: int, claim: Callable[[int], None]) -> Body:
        """Read the body within its limits; see `bodies.read_body`.

        Raises:
            UnsupportedContent: A content type or encoding that is not taken; nothing was read.
            BodyTooLarge: More bytes than the limit.
            MalformedBody: No JSON, or less of it than the headers say.
            WrongFields: What is not as it is wanted.
        """
        _check_type(request.headers.get("content-type", ""))
        length = _header_length(request.headers.get(HEADER_LENGTH))
        data = await read_bytes(request, max_bytes, claim)
        end = len(data) if length is None else length
        if end > len(data):
            raise MalformedBody(f"{HEADER_LENGTH} says {end} bytes of JSON; {len(data)} came")

        def parse() -> Inference:
            return parse_inference(data[:end], data[end:], self._spec, self._offered)

        self.inference = parse() if end <= QUICK_BYTES else await self._in_thread(parse)
        return Body(
            data=self.inference.pixels,
            content_type=RAW_PIXELS,
            options={},
            shape=",".join(map(str, self.inference.shape)),
            timeout_s=self.inference.timeout_s,
        )


def _check_type(header: str) -> None:
    """Take what the protocol's clients send: one of two types, or none."""
    came = header.partition(";")[0].strip().lower()
    if came not in {"", JSON, BINARY}:
        raise UnsupportedContent(
            f"content type {came[:128]!r} came; send {JSON}, or {BINARY} with {HEADER_LENGTH}"
        )


def _header_length(header: str | None) -> int | None:
    if header is None:
        return None
    if not WHOLE_NUMBER.fullmatch(header) or int(header) == 0:
        raise WrongFields(
            f"{HEADER_LENGTH} {header[:32]!r} came; the bytes of JSON are wanted, at least 1"
        )
    return int(header)


MODELS = ("/v2/models/{name}", "/v2/models/{name}/versions/{version}")

REFUSALS = (400, 404, 413, 415, 422, 429, 503, 504)


def router(
    catalog: ModelRegistry,
    predictor: Predictor,
    readiness: Readiness,
    *,
    version: str,
    detail: Detail,
) -> APIRouter:
    """Make the routes."""

    async def infer(request: Request) -> Response:
        """Judge every image of the tensor `images`."""
        deployment = predictor.deployment(request)
        outputs = offered(deployment.model, detail)
        intake = Intake(deployment.model.bundle.manifest.input, outputs, predictor.run_in_thread)
        job = await predictor.predict(deployment, request, intake.read)
        return reply(deployment, intake.inference, outputs, job.verdicts.columns)

    routes = APIRouter()
    # First, as routes are tried in their order and these are asked for most.
    routes.include_router(_inference(infer))

    @routes.get(
        "/v2",
        summary="Which server is this?",
        operation_id="v2",
        dependencies=[requires("predict")],
    )
    async def server() -> ServerMetadata:
        return server_metadata(version)

    @routes.get(
        "/v2/health/live",
        summary="Is the process alive?",
        operation_id="v2_live",
        dependencies=[PUBLIC],
    )
    async def live() -> Live:
        return Live(live=True)

    @routes.get(
        "/v2/health/ready",
        summary="Does it want traffic?",
        operation_id="v2_ready",
        dependencies=[PUBLIC],
        responses=refusals(503),
    )
    async def ready() -> Ready:
        readiness.require_ready()
        return Ready(ready=True)

    async def metadata(request: Request) -> ModelMetadata:
        return model_metadata(catalog, predictor.deployment(request), detail)

    async def model_ready(request: Request) -> ModelReady:
        readiness.require_ready()
        return ModelReady(name=predictor.deployment(request).name, ready=True)

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
        dependencies=[requires("predict")],
        responses=refusals(404, 503),
        openapi_extra={"parameters": parameters(path)},
    )


def _inference(infer: Callable[[Request], Coroutine[Any, Any, Response]]) -> APIRouter:
    routes = APIRouter(route_class=RawRoute, dependencies=[requires("predict")])
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
