"""Another version of a bundle: the same graph and calibration, so that only its name differs."""

from pathlib import Path

from oodguard.models.bundle import CARD, open_bundle, write_bundle
from oodguard.models.manifest import Description


def write_version(bundle: Path, folder: Path, version: str) -> None:
    """Write `bundle` to `folder` under another version, replacing the one that is there."""
    opened = open_bundle(bundle)
    description = opened.manifest.model_dump(include=set(Description.model_fields))
    write_bundle(
        folder,
        description=Description.model_validate({**description, "version": version}),
        model=opened.model,
        calibration=opened.calibration,
        evaluation=opened.evaluation,
        card=(bundle / CARD).read_text(encoding="utf-8"),
    )
