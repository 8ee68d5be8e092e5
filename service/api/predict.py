"""POST /predict, for the default model and for named models."""

from collections.abc import Callable, Coroutine
from typing import Any

import orjson
from fastapi import APIRouter
from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response

from oodguard.service.api.problems import PROBLEM_JSON
from oodguard.service.api.schemas import (
    REQUEST_BODY,
    REQUEST_HEADERS,
    BareResponse,
    PredictResponse,
    Problem,
    operation_id,
    path_parameters,
)
from oodguard.service.auth.roles import requires
from oodguard.service.prediction.predictor import Predictor
from oodguard.service.responses import Detail

Handler = Callable[[Request], Coroutine[Any, Any, Response]]

DEFAULT_PATH = "/predict"

_SUMMARIES = {
    DEFAULT_PATH: "Predict one or many images",
    "/models/{name}/predict": "Predict images with the newest version of a model",
    "/models/{name}/versions/{version}/predict": "Predict images with a version of a model",
}

_RESPONSES = {"full": PredictResponse, "verdict": BareResponse}

PROBLEM_STATUSES = (400, 404, 408, 413, 415, 422, 429, 503, 504)


class RawRoute(APIRoute):
    """A route in the OpenAPI schema whose endpoint takes the request without validation."""

    def get_route_handler(self) -> Handler:
        """Return the endpoint itself."""
        endpoint: Handler = self.endpoint
        return endpoint


def predict_router(predictor: Predictor, detail: Detail = "full") -> APIRouter:
    """Create the routes."""

    async def predict(request: Request) -> Response:
        """Return for every image its class, its scores, and the decision to accept or reject it."""
        deployment = predictor.deployment(request)
        job = await predictor.predict(deployment, request)
        body = {
            "request_id": request.scope["state"]["request_id"],
            **deployment.common(job),
            "predictions": deployment.predictions(job.verdicts),
        }
        return Response(orjson.dumps(body), media_type="application/json")

    router = APIRouter(route_class=RawRoute, dependencies=[requires("predict")])
    for path, summary in _SUMMARIES.items():
        router.add_api_route(
            path,
            predict,
            methods=["POST"],
            summary=summary,
            operation_id=operation_id(path),
            response_model=None,
            responses={200: {"model": _RESPONSES[detail]}, **problem_responses(path)},
            openapi_extra={
                "requestBody": REQUEST_BODY,
                "parameters": [*REQUEST_HEADERS, *path_parameters(path)],
            },
        )
    return router


def default_route(router: APIRouter) -> APIRoute:
    """Return the route of the default model."""
    return next(
        each for each in router.routes if isinstance(each, APIRoute) and each.path == DEFAULT_PATH
    )


def problem_responses(path: str) -> dict[int | str, dict[str, Any]]:
    """Return the descriptions of the problems of a route that predicts."""
    content = {PROBLEM_JSON: {"schema": {"$ref": f"#/components/schemas/{Problem.__name__}"}}}
    return {
        status: {"description": "Problem", "content": content}
        for status in PROBLEM_STATUSES
        if status != 404 or "{" in path
    }
