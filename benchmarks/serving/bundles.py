"""The bundles that the harness writes: the light one, and further versions of a bundle."""

from pathlib import Path

from oodguard.models.bundle import CARD, open_bundle, write_bundle
from oodguard.models.manifest import Description
from tests.conftest import build_bundle
from tests.service.graphs import CLASSES, SCORES, graph

SIDE = 32
CALIBRATION_IMAGES = 1000


def write_light_bundle(folder: Path) -> None:
    """Write a bundle whose graph does almost no work, so that only serving is measured.

    The graph is the tests' graph of channel means, for images of 32 x 32.
    """
    build_bundle(
        folder,
        n_calibration=CALIBRATION_IMAGES,
        scores=SCORES,
        classes=CLASSES,
        height=SIDE,
        width=SIDE,
        model=graph(images=("n", SIDE, SIDE, 3)),
    )


def write_version(bundle: Path, folder: Path, version: str) -> None:
    """Write `bundle` to `folder` under another version, with the same graph and calibration.

    A bundle that is already in `folder` is replaced.
    """
    opened = open_bundle(bundle)
    description = opened.manifest.model_dump(include=set(Description.model_fields))
    write_bundle(
        folder,
        description=Description.model_validate({**description, "version": version}),
        model=opened.model,
        calibration=opened.rows,
        evaluation=opened.evaluation,
        card=(bundle / CARD).read_text(encoding="utf-8"),
    )
