"""The files of the playground, held in memory, with validators and a strict policy.

They are public, as those of `/docs` are: they contain nothing of the service. A person
enters the key into the page, which sends it with each request.
"""

import gzip
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import orjson
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from oodguard.service.auth.roles import PUBLIC
from oodguard.service.errors import RouteNotFound

FOLDER = Path(__file__).resolve().parent.parent / "static" / "playground"

PAGE = "index.html"

# Everything is from this service, and no text becomes code: there is no inline script or style, no
# eval, and no HTML from strings (Trusted Types). Images of the page's own memory are blob: URLs.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:;"
    " connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none';"
    " require-trusted-types-for 'script'; trusted-types 'none'"
)

HEADERS: Mapping[str, str] = {
    "content-security-policy": POLICY,
    "cross-origin-opener-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    # A browser asks each time whether its copy is still valid, which the next release ends.
    "cache-control": "no-cache",
    "vary": "Accept-Encoding",
}

_TYPES: Mapping[str, str] = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".md": "text/markdown; charset=utf-8",
    ".png": "image/png",
    ".svg": "image/svg+xml",
}


@dataclass(frozen=True)
class Asset:
    """A file of the page."""

    content: bytes
    media_type: str

    @cached_property
    def etag(self) -> str:
        """The validator of the content, the same in every process and release."""
        return f'"{hashlib.sha256(self.content).hexdigest()[:32]}"'

    @cached_property
    def compressed(self) -> bytes | None:
        """The content as gzip; None for images, which are compressed."""
        is_image = self.media_type == "image/png"
        return None if is_image else gzip.compress(self.content, 9, mtime=0)

    def response(self, request: Request) -> Response:
        """Return the file, or 304 if the client has it."""
        headers = {**HEADERS, "etag": self.etag}
        if _names(request.headers.get("if-none-match", ""), self.etag):
            return Response(status_code=304, headers=headers)
        content = self.content
        if self.compressed and _accepts_gzip(request.headers.get("accept-encoding", "")):
            content, headers["content-encoding"] = self.compressed, "gzip"
        return Response(content, headers=headers, media_type=self.media_type)


def read_assets(folder: Path = FOLDER) -> Mapping[str, Asset]:
    """Return the files of a folder and its sub-folders by name; names are unique."""
    return {
        file.name: Asset(file.read_bytes(), _TYPES[file.suffix])
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    }


def assets_router(config: Mapping[str, object]) -> APIRouter:
    """Create the routes of the page and its files.

    Args:
        config: The facts that the page needs before it has a key; they are public.
    """
    assets = read_assets()
    settings = orjson.dumps(config)
    router = APIRouter(dependencies=[PUBLIC], include_in_schema=False)

    async def page(request: Request) -> Response:
        return assets[PAGE].response(request)

    async def page_config(_request: Request) -> Response:
        return Response(settings, media_type="application/json")

    async def asset(request: Request) -> Response:
        name = request.path_params["file"]
        if name not in assets:
            raise RouteNotFound(f"GET {request.url.path[:256]}: no such route")
        return assets[name].response(request)

    router.add_api_route("/", page, response_model=None)
    router.add_api_route("/playground/config", page_config, response_model=None)
    router.add_api_route("/playground/{file}", asset, response_model=None)
    return router


def _names(header: str, etag: str) -> bool:
    """Return whether If-None-Match names a validator, weakly compared (RFC 9110, 13.1.2)."""
    return header.strip() == "*" or etag in (
        each.strip().removeprefix("W/") for each in header.split(",")
    )


def _accepts_gzip(header: str) -> bool:
    for each in header.lower().split(","):
        coding, _, weight = each.partition(";")
        if coding.strip() in {"gzip", "*"}:
            return weight.replace(" ", "") not in {"q=0", "q=0.0", "q=0.00", "q=0.000"}
    return False
