"""POST /predict: images in, verdicts out."""

from collections.abc import Callable, Coroutine
from typing import Any

import orjson
from fastapi import APIRouter
from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response

from service import answers
from service.bodies import read_body
from service.metrics import Metrics
from service.pipeline import Pipeline
from service.problems import MEDIA_TYPE
from service.readiness import Readiness
from service.request_ids import request_id
from service.schemas import JsonImages, PredictAnswer, Problem
from service.served import ServedModel

Handler = Callable[[Request], Coroutine[Any, Any, Response]]

REFUSALS = (400, 413, 415, 422, 429, 503, 504)

_IMAGE = {"schema": {"type": "string", "format": "binary"}}
REQUEST_BODY = {
    "required": True,
    "description": "One image or many, in one of four ways.",
    "content": {
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "required": ["files"],
                "properties": {"files": {"type": "array", "items": _IMAGE["schema"]}},
            }
        },
        "application/json": {"schema": JsonImages.model_json_schema()},
        "image/jpeg": _IMAGE,
        "image/png": _IMAGE,
        "image/webp": _IMAGE,
        "application/octet-stream": _IMAGE,
    },
}
X_SHAPE = {
    "name": "X-Shape",
    "in": "header",
    "required": False,
    "description": "n,H,W,3 of raw RGB pixels; wanted with application/octet-stream.",
    "schema": {"type": "string", "examples": ["1,32,32,3"]},
}


class RawRoute(APIRoute):
    """A route that is described like any other and answered without FastAPI's validation."""

    def get_route_handler(self) -> Handler:
        """Hand the request to the endpoint as it is."""
        endpoint: Handler = self.endpoint
        return endpoint


def router(
    model: ServedModel, pipeline: Pipeline, metrics: Metrics, readiness: Readiness
) -> APIRouter:
    """Make the route for one model."""
    # What does not change from answer to answer is built once.
    constant = {"model": answers.identity(model), "policy": answers.policy(model)}

    async def predict(request: Request) -> Response:
        """Judge every image: its class, its scores, and whether to accept or reject it."""
        readiness.require_warm()
        with pipeline.admitted():
            async with pipeline.deadline() as deadline:
                body = await read_body(request, pipeline.limits.max_body_bytes)
                verdicts = await pipeline.judge(body, deadline)
        request.scope["state"]["images"] = len(verdicts)
        request.scope["state"]["rejected"] = metrics.count_verdicts(verdicts)
        answer = {
            "request_id": request_id(request.scope),
            **constant,
            "predictions": answers.predictions(verdicts),
        }
        return Response(orjson.dumps(answer), media_type="application/json")

    routes = APIRouter(route_class=RawRoute)
    routes.add_api_route(
        "/predict",
        predict,
        methods=["POST"],
        summary="Judge one image or many",
        response_model=None,
        responses={200: {"model": PredictAnswer}, **_refusals()},
        openapi_extra={"requestBody": REQUEST_BODY, "parameters": [X_SHAPE]},
    )
    return routes


def _refusals() -> dict[int | str, dict[str, Any]]:
    reference = {"schema": {"$ref": f"#/components/schemas/{Problem.__name__}"}}
    return {
        status: {"description": "A problem", "content": {MEDIA_TYPE: reference}}
        for status in REFUSALS
    }
