"""New figures for an exported bundle: the same model, a new report, a new card."""

from pathlib import Path

from models.bundle import Bundle, open_bundle, write_bundle
from models.errors import BundleError
from models.manifest import Description
from training.card import write_card
from training.report import Report


def renew(folder: Path, report: Report) -> Bundle:
    """Replace the figures of the bundle in `folder` by a report that was measured on it.

    Raises:
        BundleError: the report is of another bundle, or by another score than the one that decides.
    """
    bundle = open_bundle(folder)
    if report.measured != bundle.sha256:
        raise BundleError(
            f"{folder} is bundle {bundle.sha256[:12]}; the report is of {report.measured[:12]}"
        )
    if report.score != bundle.manifest.default_score:
        raise BundleError(
            f"{folder} decides by {bundle.manifest.default_score!r}; the report is by"
            f" {report.score!r}"
        )
    description = Description.model_validate(bundle.manifest.model_dump(exclude={"files"}))
    return write_bundle(
        folder,
        description=description,
        model=bundle.model,
        calibration=bundle.calibration,
        evaluation=report.model_dump(mode="json"),
        card=write_card(description, report, report.recipe),
    )
