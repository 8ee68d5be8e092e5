"""A folder of pictures, the command, and its verdicts."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from oodguard.service.cli import app

Score = Callable[..., Result]
Rows = list[dict[str, Any]]


def write_photos(folder: Path) -> Path:
    """Write three pictures into two folders, one damaged picture, and a text.

    The score is the brightness, of which 1 to 250 are the calibration scores.
    """
    for name, colour in (
        ("a/red.png", (24, 0, 0)),
        ("a/<script>.jpg", (255, 255, 255)),
        ("b/blue.png", (0, 0, 255)),
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8), colour).save(folder / name)
    (folder / "b" / "damaged.png").write_bytes(b"text")
    (folder / "b" / "notes.txt").write_text("text")
    return folder


def run_score(bundle: Path, out: Path, *arguments: object) -> Result:
    """Run the command with one worker."""
    options = ["--bundle", bundle, "--out", out, *arguments]
    return CliRunner().invoke(app, ["score", *map(str, options)], env={"OODGUARD_WORKERS": "1"})


def png_of(level: int) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (8, 8), (level, level, level)).save(stream, "PNG")
    return stream.getvalue()


def shards(out: Path) -> dict[str, int]:
    """Return the shards that are complete, with their time."""
    names = (*out.glob("part-*"), *out.glob("_scored-*"))
    return {each.name: each.stat().st_mtime_ns for each in names}


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return write_photos(tmp_path / "photos")


@pytest.fixture
def score(bundle_folder: Path, tmp_path: Path) -> Score:
    """Run the command with one worker, and `--out` tmp_path/verdicts."""
    return lambda *arguments: run_score(bundle_folder, tmp_path / "verdicts", *arguments)


@pytest.fixture
def verdicts(tmp_path: Path) -> Callable[[], Rows]:
    """Return the rows of the table of verdicts."""
    return lambda: pq.read_table(tmp_path / "verdicts").to_pylist()
