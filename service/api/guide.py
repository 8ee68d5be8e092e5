"""The documentation site at /guide: the files of a folder that `make docs` built."""

import os
from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path

from fastapi import APIRouter
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, RedirectResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from oodguard.service.api.operations import WholeFile
from oodguard.service.auth.roles import PUBLIC
from oodguard.service.errors import RouteNotFound

INDEX = "index.html"

# The build moves the inline scripts of the pages into files. Their styles have data: images, and
# the reports of bundles have inline styles. The search runs in a worker of the site.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:;"
    " font-src 'self'; connect-src 'self'; worker-src 'self'; base-uri 'none'; form-action 'none';"
    " frame-ancestors 'none'"
)

_HEADERS: Mapping[str, str] = {
    "content-security-policy": _POLICY,
    "accept-ranges": "none",
    # A browser asks each time whether its copy is still valid, which the next release ends.
    "cache-control": "no-cache",
}


class _Site(StaticFiles):
    """Static files without ranges."""

    def file_response(
        self,
        full_path: str | os.PathLike[str],
        stat_result: os.stat_result,
        scope: Scope,
        status_code: int = 200,
    ) -> Response:
        """Return a file, or 304 if the client has it."""
        response = super().file_response(full_path, stat_result, scope, status_code)
        is_file = isinstance(response, FileResponse)
        return WholeFile(full_path, stat_result=stat_result) if is_file else response


def missing_guide_router() -> APIRouter:
    """Create /guide of a service without the site: a 404 that names the setting."""
    router = APIRouter(dependencies=[PUBLIC], include_in_schema=False)

    @router.get("/guide")
    @router.get("/guide/")
    async def missing() -> Response:
        raise RouteNotFound(
            "the documentation is not served: OODGUARD_GUIDE is none, expected the folder that"
            " `make docs` builds"
        )

    return router


def guide_router(folder: Path) -> APIRouter:
    """Create /guide.

    Args:
        folder: The built site. Files outside of it are not served, even through links.
    """
    router = APIRouter(dependencies=[PUBLIC], include_in_schema=False)
    files = _Site(directory=folder)

    @router.get("/guide")
    async def start() -> Response:
        # Relative, because a reverse proxy may have removed a prefix.
        return RedirectResponse("guide/")

    @router.get("/guide/{path:path}")
    async def file(path: str, request: Request) -> Response:
        try:
            response = await files.get_response(path or INDEX, request.scope)
        except (HTTPException, OSError) as error:
            raise HTTPException(HTTPStatus.NOT_FOUND) from error
        response.headers.update(_HEADERS)
        return response

    return router
