"""Add the scores of attacked calibration images to an existing bundle."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from oodguard.models.bundle import Bundle, write_bundle
from oodguard.models.calibrated_model import RunGraph
from oodguard.models.calibration_rows import CalibrationRows
from oodguard.models.errors import BundleError, RecipeError
from oodguard.models.manifest import ROWS_VERSION, Description
from oodguard.models.records import AttackRecord
from oodguard.sources.reader import source_at
from oodguard.training.config.recipe import recipe_of_bundle
from oodguard.training.data.dataset import ImageSet, load, split
from oodguard.training.export.calibration_attack import ScoredGraph, with_attacked_scores
from oodguard.training.onnx_torch.classifier import bundle_classifier
from oodguard.training.onnx_torch.node import UnsupportedGraph
from oodguard.training.scoring.parity import calibrate, check_calibration, onnx_run

SAME_IMAGE = 1e-4
"""The largest difference of the scores of one image, relative above 1."""


def attack_bundle(
    bundle: Bundle,
    data: Path | None,
    *,
    count: int,
    out: Path,
    advance: Callable[[int], None],
) -> AttackRecord:
    """Write the bundle with attacked scores to `out`; return what was done.

    Args:
        bundle: The bundle.
        data: A source that has the calibration images; None: the bundle's recipe names it.
        count: The number of images that are attacked.
        out: The folder of the new bundle.
        advance: Called after each attacked batch with its number of images.

    Raises:
        BundleError: Torch cannot run the graph, or `out` cannot be replaced.
        RecipeError: The calibration images are not found.
    """
    manifest = bundle.manifest
    try:
        classifier = bundle_classifier(bundle)
    except UnsupportedGraph as error:
        raise BundleError(
            f"{error}: the calibration images of {manifest.name} cannot be attacked with gradients"
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
            "calibration_attack": record,
        }
    )
    added = (
        f"## Under attack\n\n{record.images:,} calibration images were attacked towards rejection"
        f" by {record.method}. A policy with `under_attack` rejects at most alpha of"
        " in-distribution images even if that attack perturbs them. This is no certificate: a"
        " stronger attack may raise a score further. `oodguard policy show` prints what such a"
        " policy misses.\n"
    )
    write_bundle(
        out,
        description=description,
        model=bundle.model,
        calibration=rows,
        evaluation=bundle.evaluation,
        card=f"{bundle.card.rstrip()}\n\n{added}",
    )
    return record


def matching_images(rows: CalibrationRows, found: CalibrationRows) -> NDArray[np.intp]:
    """Return for each calibration row `(n,)` the index of the image with its scores.

    Args:
        rows: The calibration rows.
        found: The rows of all images.

    Raises:
        RecipeError: A row has no such image.
    """
    names = list(rows.scores)
    recorded = np.stack([rows.scores[name] for name in names], axis=1)
    scores = np.stack([found.scores[name] for name in names], axis=1)
    order = np.argsort(scores[:, 0], kind="stable")
    places = np.searchsorted(scores[order, 0], recorded[:, 0])
    index = np.zeros(len(recorded), np.intp)
    matched = np.zeros(len(recorded), bool)
    for shift in (-2, -1, 0, 1, 2):
        candidates = order[np.clip(places + shift, 0, len(order) - 1)]
        same = np.isclose(recorded, scores[candidates], rtol=SAME_IMAGE, atol=SAME_IMAGE)
        better = ~matched & same.all(axis=1)
        index[better], matched = candidates[better], matched | better
    if not matched.all():
        raise RecipeError(
            f"{np.count_nonzero(~matched):,} of the {len(recorded):,} calibration images of the"
            " bundle are not among the images, expected all of them: an image is recognized by its"
            " scores. Give the images that the bundle was calibrated on with --data"
        )
    return index


def _calibration_images(
    bundle: Bundle, data: Path | None, run: RunGraph
) -> tuple[Tensor, CalibrationRows]:
    """Return the calibration images in the order of the rows, and their rows computed again.

    Earlier releases wrote each score in ascending order: their rows are not those of an image, and
    the images are compared as a whole.
    """
    spec, manifest, rows = bundle.manifest.input, bundle.manifest, bundle.rows
    images = load(source_at(data), spec) if data is not None else _of_recipe(bundle)
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
