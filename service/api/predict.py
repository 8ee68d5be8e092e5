"""POST /predict and its like for named models: images in, verdicts out."""

from collections.abc import Callable, Coroutine
from typing import Any

import orjson
from fastapi import APIRouter
from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response

from oodguard.service.api.problems import MEDIA_TYPE
from oodguard.service.api.schemas import (
    PATH_PARAMETERS,
    REQUEST_BODY,
    REQUEST_HEADERS,
    BareAnswer,
    PredictAnswer,
    Problem,
)
from oodguard.service.asgi import request_id
from oodguard.service.prediction.predictor import Predictor
from oodguard.service.responses import Detail

Handler = Callable[[Request], Coroutine[Any, Any, Response]]

PATHS = {
    "/predict": "Judge one image or many",
    "/models/{name}/predict": "Judge images by the newest version of a model",
    "/models/{name}/versions/{version}/predict": "Judge images by one version of a model",
}

ANSWERS = {"full": PredictAnswer, "verdict": BareAnswer}

REFUSALS = (400, 404, 413, 415, 422, 429, 503, 504)


class RawRoute(APIRoute):
    """A route that is described like any other and answered without FastAPI's validation."""

    def get_route_handler(self) -> Handler:
        """Hand the request to the endpoint as it is."""
        endpoint: Handler = self.endpoint
        return endpoint


def router(predictor: Predictor, detail: Detail = "full") -> APIRouter:
    """Make the routes."""

    async def predict(request: Request) -> Response:
        """Judge every image: its class, its scores, and whether to accept or reject it."""
        deployment = predictor.deployment(request)
        job = await predictor.predict(deployment, request)
        answer = {
            "request_id": request_id(request.scope),
            **deployment.constant,
            "predictions": deployment.predictions(job.verdicts),
        }
        return Response(orjson.dumps(answer), media_type="application/json")

    routes = APIRouter(route_class=RawRoute)
    for path, summary in PATHS.items():
        routes.add_api_route(
            path,
            predict,
            methods=["POST"],
            summary=summary,
            operation_id=path.strip("/").translate(str.maketrans("/", "_", "{}")),
            response_model=None,
            responses={200: {"model": ANSWERS[detail]}, **_refusals(path)},
            openapi_extra={
                "requestBody": REQUEST_BODY,
                "parameters": [
                    *REQUEST_HEADERS,
                    *(each for each in PATH_PARAMETERS if f"{{{each['name']}}}" in path),
                ],
            },
        )
    return routes


def default_route(routes: APIRouter) -> APIRoute:
    """The route of the default model."""
    return next(
        each for each in routes.routes if isinstance(each, APIRoute) and each.path == "/predict"
    )


def _refusals(path: str) -> dict[int | str, dict[str, Any]]:
    reference = {"schema": {"$ref": f"#/components/schemas/{Problem.__name__}"}}
    return {
        status: {"description": "A problem", "content": {MEDIA_TYPE: reference}}
        for status in REFUSALS
        if status != 404 or "{" in path
    }
