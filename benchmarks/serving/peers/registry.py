"""Which peers there are: how each is started, and how each wants to be asked about one image."""

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks.serving.ports import free_port
from benchmarks.serving.requests import Request, encoded

HERE = Path(__file__).parent
APPS = "benchmarks.serving.peers"

Ask = Callable[[bytes], Request]
"""A PNG to the request that a peer takes it in."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Peer:
    """One other server.

    Attributes:
        ask: What it is asked about one PNG.
        arguments: Its command line behind its interpreter, given the port.
        environment: Variables that it wants, given the port and a folder to write to.
        own_environment: Whether it needs packages that ours does not have.
    """

    ask: Ask
    arguments: Callable[[int], list[str]]
    environment: Callable[[int, Path], dict[str, str]] = lambda _port, _folder: {}
    own_environment: bool = True


def _json(path: str, wrap: Callable[[str], object]) -> Ask:
    """The image as base64 inside the JSON that `wrap` makes."""

    def ask(png: bytes) -> Request:
        body = json.dumps(wrap(base64.b64encode(png).decode())).encode()
        return Request(content_type="application/json", body=body, path=path)

    return ask


def _tensor(image: str) -> object:
    tensor = {"name": "images", "shape": [1, 1], "datatype": "BYTES", "data": [image]}
    return {"inputs": [tensor]}


def _module(name: str) -> Callable[[int], list[str]]:
    return lambda _: ["-m", f"{APPS}.{name}.app"]


def _mosec(png: bytes) -> Request:
    return Request(content_type="image/png", body=png, path="/inference")


PEERS: Mapping[str, Peer] = {
    "litserve": Peer(
        ask=_json("/predict", lambda image: {"image": image}), arguments=_module("litserve")
    ),
    "bentoml": Peer(
        ask=_json("/predict", lambda image: {"images": [image]}),
        arguments=lambda port: [
            *("-m", "bentoml", "serve", f"{APPS}.bentoml.app:Classifier"),
            *("--host", "127.0.0.1", "--port", str(port)),
        ],
        environment=lambda _, folder: {
            "BENTOML_DO_NOT_TRACK": "true",
            "BENTOML_HOME": str(folder / "bentoml"),
        },
    ),
    "mlserver": Peer(
        ask=_json("/v2/models/classifier/infer", _tensor),
        arguments=lambda _: [
            "-c",
            "from mlserver.cli import main; main()",
            "start",
            str(HERE / "mlserver"),
        ],
        environment=lambda port, _: {
            "MLSERVER_HTTP_PORT": str(port),
            "MLSERVER_GRPC_PORT": str(free_port()),
            "MLSERVER_METRICS_PORT": str(free_port()),
        },
    ),
    "mosec": Peer(
        ask=_mosec,
        arguments=lambda port: [
            *_module("mosec")(port),
            *("--address", "127.0.0.1", "--port", str(port), "--log-level", "error"),
        ],
    ),
    "starlette": Peer(ask=encoded, arguments=_module("starlette"), own_environment=False),
}

SERVERS_IN_PYTHON = ("litserve", "bentoml", "mlserver")
"""Those of which the best is beaten in one row of the table."""
