"""The pictures that are asked about: real ones, from the test data."""

from io import BytesIO
from itertools import cycle, islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

FOLDER = Path(__file__).parents[2] / "tests" / "data" / "cifar10"


def pictures(count: int, size: tuple[int, int]) -> NDArray[np.uint8]:
    """Real pictures of `size` (width, height), `(count, H, W, 3)`; again where they end."""
    paths = sorted(FOLDER.glob("*/*.png"))
    images = [Image.open(path).convert("RGB").resize(size) for path in islice(cycle(paths), count)]
    return np.stack([np.asarray(image) for image in images])


def encode(picture: NDArray[np.uint8], kind: str) -> bytes:
    """One picture `(H, W, 3)` as PNG or JPEG."""
    buffer = BytesIO()
    Image.fromarray(picture).save(buffer, kind)
    return buffer.getvalue()
