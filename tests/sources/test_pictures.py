"""Formats that plugins read."""

import io
from pathlib import Path

import numpy as np
import pillow_heif
import pytest
from PIL import Image, features

from oodguard.models.manifest import InputSpec
from oodguard.sources.source import Source
from oodguard.training.data.dataset import load

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
