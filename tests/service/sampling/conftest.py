"""Both kinds of stores, each over a folder that a test can read."""

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from localbucket import S3Handler

from oodguard.service.sampling.s3_store import S3Store
from oodguard.service.sampling.stores import SampleStore, open_store
from tests.service.sampling.records import STEM

BUCKET = "samples"


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


@dataclass(frozen=True, slots=True)
class Location:
    """A location of samples as in the settings, and the folder of its files."""

    to: str
    folder: Path
    open: Callable[[], SampleStore]


@pytest.fixture(params=["folder", "bucket"])
def location(request: pytest.FixtureRequest, tmp_path: Path) -> Location:
    if request.param == "folder":
        folder = tmp_path / "samples"
        return Location(str(folder), folder, lambda: open_store(str(folder), write=True))
    s3_folder: Path = request.getfixturevalue("s3_folder")
    url = f"s3://{BUCKET}/guard"
    return Location(url, s3_folder / "guard", lambda: S3Store(url))


@pytest.fixture
def write(location: Location) -> Callable[..., str]:
    """Write a sample to the store, and return its name."""

    def write(number: int, content: Mapping[str, Any] | bytes, image: bytes = b"image") -> str:
        location.folder.mkdir(parents=True, exist_ok=True)
        stem = STEM.format(number, f"r{number}")
        text = content if isinstance(content, bytes) else json.dumps(content).encode()
        (location.folder / f"{stem}.png").write_bytes(image)
        (location.folder / f"{stem}.json").write_bytes(text)
        return stem

    return write
