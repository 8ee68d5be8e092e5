"""Formats that plugins read."""

import io
from pathlib import Path
from threading import Barrier, Lock

import numpy as np
import pillow_heif
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image, features

from oodguard.models.manifest import InputSpec
from oodguard.sources import pictures
from oodguard.sources.pictures import header_sizes
from oodguard.sources.reader import list_source, source_at
from oodguard.sources.source import Source
from oodguard.training.data.dataset import load
from oodguard.training.scoring.parity import calibrate

SPEC = InputSpec(height=64, width=64)


@pytest.mark.parametrize("ending", [".heic", ".HEIC", ".heif", ".avif"])
def test_heic_and_avif_are_read_like_any_other_picture(tmp_path: Path, ending: str) -> None:
    if ending == ".avif" and not features.check("avif"):
        pytest.skip("Pillow was built without AVIF")
    pillow_heif.register_heif_opener()
    buffer = io.BytesIO()
    Image.new("RGB", (64, 64), (200, 40, 30)).save(
        buffer, "AVIF" if ending == ".avif" else "HEIF", quality=90
    )
    (tmp_path / f"a{ending}").write_bytes(buffer.getvalue())
    images = load(Source(folder=tmp_path), SPEC)
    assert np.abs(images.images.numpy().astype(int) - (200, 40, 30)).max() < 8


def test_header_sizes_of_calibration_files_are_in_the_order_of_the_images(tmp_path: Path) -> None:
    size_of = {"a.png": (20, 10), "b.png": (10, 30), "c.png": (40, 40)}
    for name, size in size_of.items():
        Image.new("RGB", size).save(tmp_path / name)
    images = load(Source(folder=tmp_path), SPEC).subset(torch.tensor([2, 0]))
    assert images.listing is not None
    assert images.positions is not None
    sizes = [size_of[Path(name).name] for name, _ in images.listing.pictures()]
    assert header_sizes(images.listing, images.positions.numpy()) == [sizes[2], sizes[0]]
    rows = calibrate(_zeros, images, ("energy",), ("a", "b"))
    assert rows.qualities["aspect"] == pytest.approx([w / h for w, h in (sizes[2], sizes[0])])
    for name in size_of:
        (tmp_path / name).unlink()
    assert header_sizes(images.listing, images.positions.numpy()) is None


def _zeros(images: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    return np.zeros((len(images), 2), np.float32), np.zeros((len(images), 1), np.float32)


def test_pictures_wait_while_too_many_pixels_are_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Eight pictures of 169 million pixels took 7 GB together."""
    monkeypatch.setattr(pictures, "MAX_PIXELS", 8 * 8 * 2)
    lock, running, peak = Lock(), 0, 0
    pair = Barrier(2)  # two at a time are allowed, and meet here

    def prepare(_image: Image.Image, _spec: InputSpec) -> NDArray[np.uint8]:
        nonlocal running, peak
        with lock:
            running += 1
            peak = max(peak, running)
        pair.wait(timeout=60)
        with lock:
            running -= 1
        return np.zeros((1, 1, 3), np.uint8)

    monkeypatch.setattr(pictures, "prepare", prepare)
    for number in range(8):
        Image.new("RGB", (8, 8)).save(tmp_path / f"{number}.png")
    listing = list_source(source_at(tmp_path), labelled=False)
    assert len(list(pictures.decode_all(listing, SPEC))) == 8
    assert peak == 2
