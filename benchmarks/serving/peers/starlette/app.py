"""The least that a server in Python does: Starlette reads the body and answers a constant.

With uvloop and httptools, and an answer of as many bytes as ours has for one image.
"""

import os

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from benchmarks.serving.graph import PORT

ANSWER = b'{"constant": "%s"}' % (b"." * 700)


async def predict(request: Request) -> Response:
    """Read the body and answer."""
    await request.body()
    return Response(ANSWER, media_type="application/json")


def main() -> None:
    """Serve until a signal comes."""
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
