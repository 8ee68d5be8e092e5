"""Judging files without a server, through the same steps."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.errors import ImageError
from models.guard import Verdict
from service.decoding.images import read_image
from service.deployments.served import ServedModel
from service.settings import Settings


def judge_files(
    model: ServedModel, paths: Sequence[Path], settings: Settings
) -> tuple[list[tuple[Path, Verdict]], list[tuple[Path, str]]]:
    """Judge every file that can be judged.

    Returns:
        The files with their verdicts, and the refused files with the reason, in the order given.
    """
    pixels: list[tuple[Path, NDArray[np.uint8]]] = []
    refused: list[tuple[Path, str]] = []
    spec = model.bundle.manifest.input
    for path in paths:
        try:
            image = read_image(path.read_bytes(), spec, max_pixels=settings.max_pixels)
        except OSError as error:
            refused.append((path, error.strerror or str(error)))
        except ImageError as error:
            refused.append((path, str(error)))
        else:
            pixels.append((path, image))
    if not pixels:
        return [], refused
    verdicts = model.guard.judge(np.stack([image for _, image in pixels]))
    return [(path, verdict) for (path, _), verdict in zip(pixels, verdicts, strict=True)], refused
