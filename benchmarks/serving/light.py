"""A bundle whose graph does next to nothing, so that what is measured is the serving around it."""

from pathlib import Path

from tests.conftest import build_bundle
from tests.service.graphs import CLASSES, SCORES, graph

SIDE = 32
CALIBRATION_IMAGES = 1000


def write_light_bundle(folder: Path) -> None:
    """Write the tests' graph of channel means, for pictures of 32 x 32."""
    build_bundle(
        folder,
        n_calibration=CALIBRATION_IMAGES,
        scores=SCORES,
        classes=CLASSES,
        height=SIDE,
        width=SIDE,
        model=graph(images=("n", SIDE, SIDE, 3)),
    )
