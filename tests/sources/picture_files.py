"""Small picture files whose colour is their number."""

import io
from pathlib import Path

from PIL import Image

from oodguard.models.manifest import InputSpec
from oodguard.sources.source import Source
from oodguard.training.data.dataset import ImageSet, load

SPEC = InputSpec(height=8, width=8)


def encoded(number: int, kind: str = "png") -> bytes:
    """Return a picture in one colour, whose red is `number`."""
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8), (number, 0, 0)).save(buffer, kind)
    return buffer.getvalue()


def write(path: Path, number: int) -> Path:
    """Write a picture, and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encoded(number, "png"))
    return path


def contents(source: Source, *, labelled: bool = True) -> dict[int, str | None]:
    """Return the class of every picture of a source by its number."""
    return numbers(load(source, SPEC, labelled=labelled))


def numbers(images: ImageSet) -> dict[int, str | None]:
    """Return the class of every image by its number; None without a label."""
    names = [images.classes[label] if label >= 0 and images.classes else None
             for label in images.labels.tolist()]  # fmt: skip
    return dict(zip(images.images[:, 0, 0, 0].tolist(), names, strict=True))


CLASSES = ("cat", "dog", "cat", "emu")
"""Of the pictures of `picture_paths`."""

EXPECTED = dict(enumerate(CLASSES))


def picture_paths(folder: Path) -> list[str]:
    """Write four pictures, and return their paths in the folder."""
    return [write(folder / "pics" / f"{n}.png", n).relative_to(folder).as_posix() for n in range(4)]
