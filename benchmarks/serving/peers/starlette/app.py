"""A lower bound for servers in Python: Starlette reads the body and returns a constant.

It uses uvloop and httptools, and its response has as many bytes as the service's for one image.
"""

import os

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from benchmarks.serving.graph import PORT

RESPONSE = b'{"constant": "%s"}' % (b"." * 700)


async def predict(request: Request) -> Response:
    """Read the body and return the constant."""
    await request.body()
    return Response(RESPONSE, media_type="application/json")


def main() -> None:
    """Serve until a signal is received."""
    uvicorn.run(
        Starlette(routes=[Route("/predict", predict, methods=["POST"])]),
        host="127.0.0.1",
        port=int(os.environ[PORT]),
        loop="uvloop",
        http="httptools",
        access_log=False,
        log_level="warning",
    )


if __name__ == "__main__":
    main()
