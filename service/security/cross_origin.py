"""Which pages of other origins may read answers in a browser: none, unless they are named."""

from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp

SENT = (
    "Authorization",
    "Inference-Header-Content-Length",
    "X-Request-Id",
    "X-Shape",
    "X-Timeout-Ms",
)
READ = ("Inference-Header-Content-Length", "Retry-After", "WWW-Authenticate", "X-Request-Id")


def with_origins(app: ASGIApp, origins: str) -> ASGIApp:
    """Let pages of these origins ask and read.

    Keys are sent by the page, never by the browser of its own accord, so there are no credentials
    in the sense of CORS.

    Args:
        app: What answers.
        origins: Origins with commas between them, or `*`.
    """
    return CORSMiddleware(
        app,
        allow_origins=[each.strip() for each in origins.split(",")],
        allow_methods=("GET", "POST"),
        allow_headers=SENT,
        expose_headers=READ,
    )
