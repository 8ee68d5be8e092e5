"""Pictures to calibrate on."""

from pathlib import Path

import pytest
from PIL import Image

from tests.service.recalibration.calibrate import N


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Write `red/film0/0.png` and so on: 90 pictures of different brightness, 3 a film."""
    folder = tmp_path / "recent"
    for number in range(N):
        label = ("red", "green", "blue")[number % 3]
        path = folder / label / f"film{number // 9}" / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        colour = [number, number, number]
        colour[number % 3] += 120
        Image.new("RGB", (8, 8), tuple(colour)).save(path)
    return folder


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "new"
