"""Both kinds of stores, each over a folder that a test can read."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from oodguard.service.sampling.s3_store import S3Store
from oodguard.service.sampling.stores import SampleStore, open_store
from tests.service.conftest import BUCKET
from tests.service.sampling.records import STEM


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
