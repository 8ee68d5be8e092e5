"""GET /docs: the API's description as a page, from files that ship with the service."""

from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import FileResponse

STATIC = Path(__file__).parent.parent / "static"

PAGES: Mapping[str, Path] = {
    "/docs": STATIC / "docs.html",
    "/docs/start.js": STATIC / "start.js",
    "/docs/swagger-ui-bundle.js": STATIC / "swagger-ui" / "swagger-ui-bundle.js",
    "/docs/swagger-ui.css": STATIC / "swagger-ui" / "swagger-ui.css",
    "/docs/favicon.png": STATIC / "swagger-ui" / "favicon-32x32.png",
}

# The page may load and ask nothing but this service; Swagger UI styles itself and draws icons.
POLICY = "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:"


def router() -> APIRouter:
    """Make a route for each file."""
    routes = APIRouter()
    for path, file in PAGES.items():
        routes.add_api_route(path, _page(file), include_in_schema=False, response_model=None)
    return routes


def _page(file: Path) -> Callable[[Request], Coroutine[Any, Any, FileResponse]]:
    async def page(_request: Request) -> FileResponse:
        return FileResponse(file, headers={"content-security-policy": POLICY})

    return page
