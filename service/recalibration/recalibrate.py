"""Make a bundle with the graph of another one and a new calibration."""

import getpass
import re
import shlex
import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from packaging.version import InvalidVersion, Version

from oodguard.models.bundle import Bundle, write_bundle
from oodguard.models.calibrated_model import RunGraph
from oodguard.models.calibration import images_required
from oodguard.models.decision import Policy
from oodguard.models.errors import BundleError, CalibrationError
from oodguard.models.group_calibration import check_groups
from oodguard.models.manifest import ROWS_VERSION, Description, Manifest
from oodguard.models.names import text_of
from oodguard.models.records import VERSION_PATTERN, CalibrationRecord
from oodguard.service.recalibration.card import recalibrated_card
from oodguard.service.recalibration.comparison import CalibrationComparison, compare
from oodguard.service.recalibration.held_out import HeldOut, hold_out, names_at
from oodguard.service.recalibration.inputs import CalibrationImages
from oodguard.service.registry.versions import version_key

SHOWN_IMAGES = 10
"""The number of images with the largest scores that are named."""

RECORDED = 20
"""The number of endings, and of reasons, that a manifest records."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Recalibrated:
    """A bundle that was written, the comparison, and the images with the largest scores."""

    bundle: Bundle
    comparison: CalibrationComparison
    largest: tuple[tuple[str, float], ...]


def recalibrate(  # noqa: PLR0913 - by keyword
    bundle: Bundle,
    run: RunGraph,
    images: CalibrationImages,
    *,
    policy: Policy,
    out: Path,
    version: str,
    by: str | None,
) -> Recalibrated:
    """Write `bundle` with these calibration images to the new folder `out`.

    Raises:
        RecipeError: Images cannot be read, or have labels of unknown classes.
        CalibrationError: There are too few images or groups for the policy, or scores are invalid.
        BundleError: The bundle lacks the policy's score, or `out` cannot be written.
    """
    manifest = bundle.manifest
    check_enough(images, policy)
    found = hold_out(images.listing, manifest, run, score=policy.score, number_of=images.number_of)
    comparison = compare(bundle.rows, found.rows, policy)
    description = _describe(bundle, images, found, version=version, by=by)
    written = write_bundle(
        out,
        description=description,
        model=bundle.model,
        calibration=found.rows,
        evaluation=bundle.evaluation,
        card=recalibrated_card(bundle.card, description, comparison, policy),
    )
    return Recalibrated(
        bundle=written, comparison=comparison, largest=_largest(images, found, policy.score)
    )


def check_enough(images: CalibrationImages, policy: Policy) -> None:
    """Check that there are enough images, or groups, before the first one is decoded.

    Raises:
        CalibrationError: The error names the number that is required.
    """
    listing = images.listing
    if listing.groups is None:
        required = images_required(policy.false_rejection_rate, policy.delta)
        if len(listing) < required:
            delta = "" if policy.delta is None else f" with delta {policy.delta}"
            raise CalibrationError(
                f"{listing.location}: found {len(listing):,} images, expected at least {required:,}"
                f" for alpha {policy.alpha}{delta}. Calibrate with more images, or set a larger"
                " OODGUARD_ALPHA or OODGUARD_DELTA"
            )
        return
    sizes = np.bincount(listing.groups)
    if (sizes <= 1).all():
        raise CalibrationError(
            f"{listing.location}: each of the {len(sizes):,} groups has 1 image, expected groups of"
            " near-duplicates. Correct --group, or leave it out if no images resemble each other"
        )
    try:
        check_groups(len(sizes), alpha=policy.false_rejection_rate, delta=policy.delta)
    except CalibrationError as error:
        raise CalibrationError(f"{listing.location}: {error}") from error


def check_output(out: Path, bundle: Path) -> None:
    """Check that the output is a new folder, outside of the bundle that is replaced.

    Raises:
        BundleError: It exists, or is in the folder of the bundle.
    """
    if out.exists() or out.is_symlink():
        raise BundleError(
            f"--out {text_of(out)} exists, expected a new folder. It was not changed: choose"
            " another one"
        )
    if out.resolve().is_relative_to(bundle.resolve()):
        raise BundleError(
            f"--out {text_of(out)} is in the folder of the bundle, expected another place: a bundle"
            " with an additional file is invalid"
        )


def new_version(given: str | None, manifest: Manifest) -> str:
    """Return the version of the new bundle: the given one, or the next post-release of PEP 440.

    Raises:
        BundleError: The version is not newer than that of the bundle, or none can be derived.
    """
    old = manifest.version
    if given is None:
        try:
            parsed = Version(old)
        except InvalidVersion:
            raise BundleError(
                f"the version of the bundle is {old!r}, which is no version of PEP 440. Give the"
                " new one with --version"
            ) from None
        if parsed.is_prerelease or parsed.local:
            raise BundleError(
                f"the version of the bundle is {old!r}, a pre-release or a local version. Give the"
                " new one with --version"
            )
        return f"{parsed.base_version}.post{(parsed.post or 0) + 1}"
    if not re.fullmatch(VERSION_PATTERN, given):
        raise BundleError(
            f"--version is {given!r}, expected 1 to 32 letters, digits, dots, hyphens and"
            " underscores"
        )
    if version_key(given) <= version_key(old):
        raise BundleError(
            f"--version is {given!r}, expected one that is newer than {old!r}, such as"
            f" {old}.post1: versions are ordered by PEP 440"
        )
    return given


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
        by=by or _user(),
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
