"""Make a bundle with the graph of another one and a new calibration."""

import getpass
import shlex
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from oodguard.models.bundle import MANIFEST, Bundle, write_bundle
from oodguard.models.calibrated_model import RunGraph
from oodguard.models.calibration import images_required
from oodguard.models.decision import Policy
from oodguard.models.errors import BundleError, CalibrationError
from oodguard.models.group_calibration import check_groups
from oodguard.models.manifest import ROWS_VERSION, Description
from oodguard.models.names import text_of
from oodguard.models.policy_thresholds import limitations, policy_thresholds
from oodguard.models.reasons import missing_ranges
from oodguard.models.records import CalibrationRecord
from oodguard.service.recalibration.card import recalibrated_card
from oodguard.service.recalibration.comparison import CalibrationComparison, compare
from oodguard.service.recalibration.held_out import HeldOut, hold_out, names_at
from oodguard.service.recalibration.inputs import CalibrationImages
from oodguard.service.settings import variable

SHOWN_IMAGES = 10
"""The number of images with the largest scores that are named."""

RECORDED = 20
"""The number of endings, and of reasons, that a manifest records."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Recalibrated:
    """A bundle that was written.

    Attributes:
        bundle: The bundle.
        comparison: Its calibration and the older one.
        largest: The names and the scores of the images with the largest scores.
        notes: Where the policy does not hold for the bundle, or why it is refused, and why reasons
            name no qualities of images.
    """

    bundle: Bundle
    comparison: CalibrationComparison
    largest: tuple[tuple[str, float], ...]
    notes: tuple[str, ...]


def recalibrate(  # noqa: PLR0913 - by keyword
    bundle: Bundle,
    run: RunGraph,
    images: CalibrationImages,
    *,
    policy: Policy,
    out: Path,
    version: str,
    by: str | None,
    advance: Callable[[int], None] = lambda _: None,
) -> Recalibrated:
    """Write `bundle` with these calibration images to the new folder `out`.

    `advance` is called with the number of images after each batch.

    Raises:
        RecipeError: Images cannot be read, or have labels of unknown classes.
        CalibrationError: There are too few images or groups for the policy, or scores are invalid.
        BundleError: The bundle lacks the policy's score, or `out` cannot be written.
    """
    manifest = bundle.manifest
    check_enough(images, policy)
    found = hold_out(
        images.listing,
        manifest,
        run,
        score=policy.score,
        number_of=images.number_of,
        advance=advance,
    )
    comparison = compare(bundle.rows, found.rows, policy)
    if warning := images.listing.warning:
        comparison = replace(comparison, warnings=(warning, *comparison.warnings))
    description = _describe(bundle, images, found, version=version, by=by)
    written = write_bundle(
        out,
        description=description,
        model=bundle.model,
        calibration=found.rows,
        evaluation=bundle.evaluation,
        card=recalibrated_card(bundle, description, comparison, policy),
        replace=False,
    )
    return Recalibrated(
        bundle=written,
        comparison=comparison,
        largest=_largest(images, found, policy.score),
        notes=(*_notes(written, policy), *_missing_reasons(written)),
    )


def _notes(bundle: Bundle, policy: Policy) -> tuple[str, ...]:
    """Return where a policy does not hold for a bundle, or why the service refuses it."""
    try:
        thresholds = policy_thresholds(bundle, policy)
    except (BundleError, CalibrationError) as error:
        return (f"The service refuses this bundle under the policy of the settings: {error}",)
    return tuple(
        f"The policy of the settings does not hold in full: {each}"
        for each in limitations(thresholds, bundle.manifest.classes)
    )


def _missing_reasons(bundle: Bundle) -> Iterator[str]:
    missing = missing_ranges(bundle.rows)
    if missing is not None:
        yield f"No reason for a rejection names a quality of the image, such as too_dark: {missing}"


def check_enough(images: CalibrationImages, policy: Policy) -> None:
    """Check that there are enough images, or groups, before the first one is decoded.

    Raises:
        CalibrationError: The error names the number that is required.
    """
    listing = images.listing
    # Alpha sets the threshold, or beta if there is no alpha.
    name = "beta" if policy.alpha is None else "alpha"
    rate = policy.beta if policy.alpha is None else policy.alpha
    if rate is None:
        raise ValueError("the policy has neither alpha nor beta")
    if name == "beta" and images.number_of is None:
        raise CalibrationError(
            f"{listing.location}: the images have no labels, expected them for beta {rate} with"
            f" alpha none. Calibrate with labelled images, or set {variable('alpha')}"
        )
    if listing.groups is None:
        required = images_required(rate, policy.delta)
        if len(listing) < required:
            delta = "" if policy.delta is None else f" with delta {policy.delta}"
            raise CalibrationError(
                f"{listing.location}: found {len(listing):,} images, expected at least {required:,}"
                f" for {name} {rate}{delta}. Calibrate with more images, or set a larger"
                f" {variable(name)} or {variable('delta')}"
            )
        return
    _, sizes = np.unique(listing.groups, return_counts=True)
    if (sizes <= 1).all():
        raise CalibrationError(
            f"{listing.location}: each of the {len(sizes):,} groups has 1 image, expected groups of"
            " near-duplicates. Correct --group, or leave it out if no images resemble each other"
        )
    try:
        check_groups(len(sizes), alpha=rate, delta=policy.delta, name=name)
    except CalibrationError as error:
        raise CalibrationError(f"{listing.location}: {error}") from error


def check_output(out: Path) -> None:
    """Check that the output is a new folder, outside of every bundle.

    Raises:
        BundleError: It exists, or is in the folder of a bundle.
    """
    if out.exists() or out.is_symlink():
        raise BundleError(
            f"--out {text_of(out)} exists, expected a new folder. It was not changed: choose"
            " another one"
        )
    if any((parent / MANIFEST).exists() for parent in out.resolve().parents):
        raise BundleError(
            f"--out {text_of(out)} is in the folder of a bundle, expected another place: a bundle"
            " with an additional file is invalid"
        )


def _describe(
    bundle: Bundle, images: CalibrationImages, found: HeldOut, *, version: str, by: str | None
) -> Description:
    manifest, rows = bundle.manifest, found.rows
    record = CalibrationRecord(
        source=images.name,
        images=len(rows),
        groups=rows.group_count,
        labels=rows.labels is not None,
        skipped=_most_common(images.listing.skipped),
        broken=_most_common(found.broken),
        copies=found.copies,
        dropped=images.dropped,
        created=datetime.now(UTC),
        by=text_of(by or _user()),
        command=text_of(shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])),
        replaced=bundle.sha256,
        replaced_version=manifest.version,
        evaluated_version=manifest.calibration.evaluated_version
        if manifest.calibration
        else manifest.version,
    )
    # Attacked scores are those of the older images.
    replaced = {"files", "version", "schema_version", "calibration", "calibration_attack"}
    kept = manifest.model_dump(exclude=replaced)
    return Description.model_validate(
        {
            **kept,
            "schema_version": ROWS_VERSION,
            "version": version,
            "created": record.created,
            "calibration": record.model_dump(),
        }
    )


def _most_common(counts: Mapping[str, int]) -> dict[str, int]:
    """Return the largest counts, and the sum of the others: a folder may hold any file names."""
    ordered = Counter(counts).most_common()
    rest = sum(count for _, count in ordered[RECORDED:])
    return dict(ordered[:RECORDED]) | ({"others": rest} if rest else {})


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container may run as a user without a name
        return "unknown"


def _largest(
    images: CalibrationImages, found: HeldOut, score: str
) -> tuple[tuple[str, float], ...]:
    scores = found.rows.scores[score]
    order = np.argsort(-scores, kind="stable")[:SHOWN_IMAGES]
    names = names_at(images.listing, found.positions[order])
    return tuple((name, float(scores[at])) for name, at in zip(names, order, strict=True))
