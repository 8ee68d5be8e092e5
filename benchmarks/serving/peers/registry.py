"""The peers: their environments, their command lines, and their requests for one image."""

import base64
import hashlib
import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks.serving.processes import free_port
from benchmarks.serving.requests import Request, encoded

HERE = Path(__file__).parent
APPS = "benchmarks.serving.peers"
STAMP = "requirements.sha256"
PIP = ("-m", "pip", "install", "--quiet", "--quiet", "--disable-pip-version-check")

RequestBuilder = Callable[[bytes], Request]
"""Returns a peer's request for one PNG."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Peer:
    """One other server.

    Attributes:
        request: Builds the request for one PNG.
        arguments: The arguments of its Python interpreter, given the port.
        environment: Its environment variables, given the port and a writable folder.
        own_environment: Whether it needs packages that the development environment lacks.
    """

    request: RequestBuilder
    arguments: Callable[[int], list[str]]
    environment: Callable[[int, Path], dict[str, str]] = lambda _port, _folder: {}
    own_environment: bool = True


def _json(path: str, wrap: Callable[[str], object]) -> RequestBuilder:
    """Return a builder of JSON requests; `wrap` returns the JSON value for a base64 image."""

    def build(png: bytes) -> Request:
        body = json.dumps(wrap(base64.b64encode(png).decode())).encode()
        return Request(content_type="application/json", body=body, path=path)

    return build


def _tensor(image: str) -> object:
    tensor = {"name": "images", "shape": [1, 1], "datatype": "BYTES", "data": [image]}
    return {"inputs": [tensor]}


def _module(name: str) -> Callable[[int], list[str]]:
    return lambda _: ["-m", f"{APPS}.{name}.app"]


def _mosec(png: bytes) -> Request:
    return Request(content_type="image/png", body=png, path="/inference")


PEERS: Mapping[str, Peer] = {
    "litserve": Peer(
        request=_json("/predict", lambda image: {"image": image}), arguments=_module("litserve")
    ),
    "bentoml": Peer(
        request=_json("/predict", lambda image: {"images": [image]}),
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
        request=_json("/v2/models/classifier/infer", _tensor),
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
        request=_mosec,
        arguments=lambda port: [
            *_module("mosec")(port),
            *("--address", "127.0.0.1", "--port", str(port), "--log-level", "error"),
        ],
    ),
    "starlette": Peer(request=encoded, arguments=_module("starlette"), own_environment=False),
}

SERVERS_IN_PYTHON = ("litserve", "bentoml", "mlserver")
"""The peers of which the fastest is compared in one row."""


def interpreter(peer: str, folder: Path) -> Path:
    """Return a peer's Python interpreter; create its environment if its requirements changed.

    The peers' requirements exclude each other, so each peer has an environment.

    Args:
        peer: The name of a peer whose folder contains a requirements.txt.
        folder: The folder of the environments.

    Raises:
        subprocess.CalledProcessError: pip failed; the next call creates the environment again.
    """
    requirements = HERE / peer / "requirements.txt"
    expected = hashlib.sha256(requirements.read_bytes()).hexdigest()
    environment = folder / peer
    python = environment / "bin" / "python"
    stamp = environment / STAMP
    if not stamp.exists() or stamp.read_text() != expected:
        _run(sys.executable, "-m", "venv", "--clear", str(environment))
        _run(str(python), *PIP, "--requirement", str(requirements))
        stamp.write_text(expected)  # last, so that an interrupted installation is repeated
    return python


def _run(*command: str) -> None:
    subprocess.run(command, check=True)  # noqa: S603
