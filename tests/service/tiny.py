"""Write bundles of the tiny graph."""

from pathlib import Path

from oodguard.models.bundle import Bundle
from tests.conftest import build_bundle
from tests.service.graphs import CLASSES, SCORES, SIZE, graph

CALIBRATION_IMAGES = 250


def write_tiny(
    folder: Path, *, name: str = "tiny", version: str = "1", classes: tuple[str, ...] = CLASSES
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
    )
