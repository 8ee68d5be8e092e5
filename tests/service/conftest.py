"""Fixtures: a real application on a tiny real graph."""

import json
import logging
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from localbucket import S3Handler
from numpy.typing import NDArray
from starlette.testclient import TestClient

from oodguard.models.calibrated_model import CalibratedModel
from oodguard.models.verdicts import Verdicts
from oodguard.service.app import create_app
from oodguard.service.inference.model import LoadedModel, load_model
from oodguard.service.settings import Settings
from oodguard.service.telemetry.logs import JsonFormatter, TextFormatter
from tests.service.api_keys import IssuedKey, write_key_file
from tests.service.checks import still_serves
from tests.service.pictures import RED, WHITE, encode, plain
from tests.service.tiny import write_tiny

MakeClient = Callable[..., TestClient]
AccessLog = Callable[[], list[dict[str, Any]]]
Issued = dict[str, IssuedKey]

BUCKET = "samples"


class Gate:
    """Holds every run of the model until it is opened."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.entered = threading.Event()
        self.opened = threading.Event()
        self.threads: set[str] = set()
        predict = CalibratedModel.predict

        def hold(guard: CalibratedModel, images: NDArray[np.uint8]) -> Verdicts:
            self.threads.add(threading.current_thread().name)
            self.entered.set()
            assert self.opened.wait(20)
            return predict(guard, images)

        monkeypatch.setattr(CalibratedModel, "predict", hold)


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith(("OODGUARD_", "OTEL_"))]:
        monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
def _restore_logging() -> Iterator[None]:
    """Remove the log handlers of a command, whose streams are closed."""
    root = logging.getLogger()
    level = root.level
    yield
    for handler in root.handlers[:]:
        if isinstance(handler.formatter, (JsonFormatter, TextFormatter)):
            root.removeHandler(handler)
    root.setLevel(level)
    logging.captureWarnings(capture=False)


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Iterator[Gate]:
    """Hold the runs of the model until the test opens the gate, or ends."""
    gate = Gate(monkeypatch)
    yield gate
    gate.opened.set()


@pytest.fixture
def anyio_backend() -> str:
    """Run tests that are marked `anyio` on asyncio."""
    return "asyncio"


@pytest.fixture
def bundle_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "tiny"
    write_tiny(folder)
    return folder


@pytest.fixture
def three_models(tmp_path: Path) -> Path:
    """Write versions 9 and 10 of the model `one`, and `two`, whose class names differ."""
    folder = tmp_path / "models"
    write_tiny(folder / "one" / "nine", name="one", version="9")
    write_tiny(folder / "one" / "ten", name="one", version="10")
    write_tiny(folder / "two", name="two", classes=("rouge", "vert", "bleu"))
    return folder


@pytest.fixture
def model(bundle_folder: Path) -> LoadedModel:
    return load_model(bundle_folder, Settings())


@pytest.fixture
def make_client(bundle_folder: Path) -> Iterator[MakeClient]:
    """Make a client of an application that was started with the given settings."""
    with ExitStack() as stack:

        def make(**settings: object) -> TestClient:
            app = create_app(Settings.model_validate({"bundle": bundle_folder, **settings}))
            return stack.enter_context(TestClient(app, raise_server_exceptions=False))

        yield make


@pytest.fixture
def client(make_client: MakeClient) -> Iterator[TestClient]:
    """A client of a service with default settings, which must still serve after the test."""
    client = make_client()
    yield client
    still_serves(client)


@pytest.fixture
def access_log(caplog: pytest.LogCaptureFixture) -> AccessLog:
    """Return the present lines of the access log."""
    caplog.set_level(logging.INFO, "oodguard.access")
    formatter = JsonFormatter()
    return lambda: [
        json.loads(formatter.format(each))
        for each in caplog.records
        if each.name == "oodguard.access"
    ]


@pytest.fixture
def issued() -> Issued:
    """One API key for each role."""
    return {
        role: IssuedKey.create(role, key_id=f"the-{role}")
        for role in ("predict", "metrics", "admin")
    }


@pytest.fixture
def key_file(tmp_path: Path, issued: Issued) -> Path:
    return write_key_file(tmp_path / "keys.toml", *issued.values())


@pytest.fixture
def make_secured(make_client: MakeClient, key_file: Path) -> MakeClient:
    """Make a client of an app with API keys and the admin routes."""

    def make(**settings: object) -> TestClient:
        return make_client(**{"keys_file": key_file, "admin": True, **settings})

    return make


@pytest.fixture
def secured(make_secured: MakeClient) -> TestClient:
    return make_secured()


@pytest.fixture
def s3_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder behind a bucket of an S3-compatible server, configured by the AWS_* variables."""
    folder = tmp_path / "s3" / BUCKET
    folder.mkdir(parents=True)
    monkeypatch.setattr(S3Handler, "data_root", folder.parent, raising=False)
    with ThreadingHTTPServer(("127.0.0.1", 0), S3Handler) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_port}")
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield folder
        server.shutdown()
        thread.join()


@pytest.fixture
def pictures(tmp_path: Path) -> list[Path]:
    """Two files: the tiny bundle accepts the first and rejects the second."""
    paths = [tmp_path / "red.png", tmp_path / "white.jpg"]
    paths[0].write_bytes(encode(plain(RED)))
    paths[1].write_bytes(encode(plain(WHITE), "JPEG"))
    return paths
