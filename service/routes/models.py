"""GET /models: what is served, and how it was made."""

import orjson
from fastapi import APIRouter
from starlette.responses import Response

from service import answers
from service.schemas import ModelsAnswer
from service.served import ServedModel


def router(model: ServedModel) -> APIRouter:
    """Make the route; its answer is fixed for the life of the process."""
    routes = APIRouter()
    facts = answers.facts(model)
    body = orjson.dumps({"default": facts["name"], "models": [facts]})

    @routes.get("/models", summary="The models that are served", response_model=ModelsAnswer)
    async def models() -> Response:
        return Response(body, media_type="application/json")

    return routes
