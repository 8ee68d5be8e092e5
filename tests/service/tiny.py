"""Write bundles of the tiny graph."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from oodguard.models.bundle import Bundle
from tests.conftest import build_bundle
from tests.service.graphs import CLASSES, SCORES, SIZE, graph

CALIBRATION_IMAGES = 250


def write_tiny(
    folder: Path,
    *,
    name: str = "tiny",
    version: str = "1",
    classes: tuple[str, ...] = CLASSES,
    qualities: Mapping[str, NDArray[np.float32]] | None = None,
) -> Bundle:
    """Write a bundle to `folder`; its calibration scores are 1, 2, ... 250."""
    return build_bundle(
        folder,
        n_calibration=CALIBRATION_IMAGES,
        scores=SCORES,
        classes=classes,
        height=SIZE,
        width=SIZE,
        model=graph(classes=len(classes)),
        name=name,
        version=version,
        qualities=qualities,
    )
