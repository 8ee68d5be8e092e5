"""GET /models: what is served, and how it was made."""

import orjson
from fastapi import APIRouter
from starlette.responses import Response

from service import answers
from service.deployments.catalog import Catalog
from service.routes.schemas import ModelsAnswer


def router(catalog: Catalog, detail: answers.Detail = "full") -> APIRouter:
    """Make the route."""
    routes = APIRouter()

    @routes.get("/models", summary="The models that are served", response_model=ModelsAnswer)
    async def models() -> Response:
        served = [answers.facts(each.model, detail) for each in catalog.deployments()]
        default = catalog.default
        answer = {"default": default.name, "default_version": default.version, "models": served}
        return Response(orjson.dumps(answer), media_type="application/json")

    return routes
