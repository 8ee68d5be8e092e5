"""Add the scores of attacked calibration images to an existing bundle."""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from oodguard.models.bundle import Bundle, write_bundle
from oodguard.models.calibrated_model import RunGraph
from oodguard.models.calibration_rows import CalibrationRows
from oodguard.models.counts import count_of
from oodguard.models.decision import Policy
from oodguard.models.derived_card import derive_card, parse_card
from oodguard.models.errors import BundleError, CalibrationError, RecipeError
from oodguard.models.manifest import ROWS_VERSION, Description
from oodguard.models.names import text_of
from oodguard.models.records import AttackRecord
from oodguard.sources.reader import source_at
from oodguard.training.config.recipe import recipe_of_bundle
from oodguard.training.data.dataset import ImageSet, load, split
from oodguard.training.export.calibration_attack import Advance, ScoredGraph, with_attacked_scores
from oodguard.training.onnx_torch.classifier import bundle_classifier
from oodguard.training.onnx_torch.node import UnsupportedGraph
from oodguard.training.report.promises import attacked_images
from oodguard.training.scoring.parity import calibrate, check_calibration, onnx_run

HEADING = "Under attack"

SAME_IMAGE = 1e-4
"""The largest difference of the scores of one image, relative above 1."""


def attack_bundle(  # noqa: PLR0913 - by keyword
    bundle: Bundle,
    data: Path | None,
    *,
    count: int,
    version: str,
    out: Path,
    advance: Advance,
) -> Bundle:
    """Write the bundle with attacked scores to `out`, and return it.

    Args:
        bundle: The bundle.
        data: A source that has the calibration images; None: the bundle's recipe names it.
        count: The number of images that are attacked.
        version: The version of the new bundle.
        out: The folder of the new bundle.
        advance: Shows the progress.

    Raises:
        BundleError: Torch cannot run the graph, or `out` cannot be replaced.
        RecipeError: The calibration images are not found.
    """
    manifest = bundle.manifest
    if data is None and manifest.calibration is not None:
        raise RecipeError(
            f"{manifest.name} {manifest.version} was calibrated on {manifest.calibration.source},"
            " and --data is missing. Give these images with --data"
        )
    try:
        classifier = bundle_classifier(bundle)
    except UnsupportedGraph as error:
        raise BundleError(
            f"{error}. The calibration images of {manifest.name} are not attacked, and a policy"
            " with under_attack cannot be used. Serve the bundle without under_attack, or make it"
            " again from a graph of operators that torch runs"
        ) from error
    run = onnx_run(bundle.model)
    graph = ScoredGraph(
        classifier=classifier,
        run=run,
        score=manifest.default_score,
        column=manifest.scores.index(manifest.default_score),
    )
    images, found = _calibration_images(bundle, data, run)
    rows = found if bundle.rows.has_scores_only else bundle.rows
    rows, record = with_attacked_scores(rows, graph, images, count=count, advance=advance)
    description = Description.model_validate(
        {
            **manifest.model_dump(exclude={"files"}),
            "schema_version": ROWS_VERSION,
            "version": version,
            "created": datetime.now(UTC),
            "calibration_attack": record,
        }
    )
    # Without a new calibration, the section about the present one remains true.
    sections = {**parse_card(bundle.card).sections, HEADING: _section(record, rows, manifest)}
    return write_bundle(
        out,
        description=description,
        model=bundle.model,
        calibration=rows,
        evaluation=bundle.evaluation,
        card=derive_card(manifest, bundle.card, version, sections),
    )


def _section(record: AttackRecord, rows: CalibrationRows, manifest: Description) -> str:
    """Return the section of the card, with the thresholds of the default policy."""
    policy = Policy(score=manifest.default_score)
    try:
        parts = list(attacked_images(record, rows, policy))
    except CalibrationError:  # too few images for the default policy
        return f"Attacked by {record.method}: {count_of(record.images, 'calibration image')}."
    return "\n\n".join(
        [*parts, f"The thresholds are those of alpha {policy.alpha} with delta {policy.delta}."]
    )


def matching_images(rows: CalibrationRows, found: CalibrationRows) -> NDArray[np.intp]:
    """Return for each calibration row `(n,)` the index of the image with its scores.

    Args:
        rows: The calibration rows.
        found: The rows of all images.

    Raises:
        RecipeError: A row has no such image.
    """
    names = list(rows.scores)
    recorded, scores = _comparable(rows, names), _comparable(found, names)
    # Of a classifier that is nearly always certain, many values of a score are equal.
    column = int(np.argmax([len(np.unique(each)) for each in scores.T]))
    order = np.argsort(scores[:, column], kind="stable")
    ordered = scores[order, column]
    first = np.searchsorted(ordered, recorded[:, column] - SAME_IMAGE, side="left")
    last = np.searchsorted(ordered, recorded[:, column] + SAME_IMAGE, side="right")
    index = np.zeros(len(recorded), np.intp)
    matched = np.zeros(len(recorded), bool)
    for row, (start, stop) in enumerate(zip(first, last, strict=True)):
        if start == stop:
            continue
        differences = np.abs(scores[order[start:stop]] - recorded[row]).max(axis=1)
        nearest = int(np.argmin(differences))
        index[row] = order[start + nearest]
        matched[row] = differences[nearest] <= SAME_IMAGE
    if not matched.all():
        raise RecipeError(
            f"{np.count_nonzero(~matched):,} of the {len(recorded):,} calibration images of the"
            " bundle are not among the images, expected all of them: an image is recognized by its"
            " scores. Give the images that the bundle was calibrated on with --data"
        )
    return index


def _comparable(rows: CalibrationRows, names: list[str]) -> NDArray[np.float64]:
    """Return the named scores `(n, names)`, with differences that are relative above 1."""
    scores = np.stack([rows.scores[name] for name in names], axis=1).astype(np.float64)
    return np.sign(scores) * np.log1p(np.abs(scores))


def _calibration_images(
    bundle: Bundle, data: Path | None, run: RunGraph
) -> tuple[Tensor, CalibrationRows]:
    """Return the calibration images in the order of the rows, and their rows computed again.

    Earlier releases wrote each score in ascending order: their rows are not those of an image, and
    the images are compared as a whole.
    """
    spec, manifest, rows = bundle.manifest.input, bundle.manifest, bundle.rows
    images = load(source_at(data), spec) if data is not None else _of_recipe(bundle)
    if data is not None and rows.has_scores_only and len(images.images) != len(rows):
        raise RecipeError(
            f"{text_of(data)} has {count_of(len(images.images), 'image')}, expected the"
            f" {len(rows):,} calibration images of {manifest.name}. Give these, or calibrate"
            " the bundle on the images first (`oodguard calibrate`), and attack the new bundle"
        )
    found = calibrate(run, images, manifest.scores, manifest.classes)
    if rows.has_scores_only:
        check_calibration(bundle.calibration, found.ordered())
        return images.images[:], found
    return images.images[torch.from_numpy(matching_images(rows, found))], found


def _of_recipe(bundle: Bundle) -> ImageSet:
    recipe = recipe_of_bundle(bundle)
    if recipe is None:
        raise RecipeError(
            f"{bundle.manifest.name} has no recipe that names its calibration images. Give them"
            " with --data"
        )
    inliers = load(recipe.inliers, bundle.manifest.input)
    return split(inliers, recipe.inliers, seed=recipe.seed).calibration
