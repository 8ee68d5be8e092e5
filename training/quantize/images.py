"""The images of a quantization: for the ranges, the thresholds and the comparison."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from oodguard.models.bundle import Bundle
from oodguard.models.counts import count_of
from oodguard.models.decision import Policy
from oodguard.models.errors import CalibrationError, RecipeError
from oodguard.sources.classes import match_all_classes, match_classes
from oodguard.sources.listing import Listing
from oodguard.sources.source import Source
from oodguard.training.config.evaluation_sources import evaluation_sources
from oodguard.training.config.recipe import recipe_of_bundle
from oodguard.training.data.calibration_half import check_calibration_half, random_halves
from oodguard.training.data.dataset import ImageSet, load, split

RANGE_IMAGES = 500
"""Images that set the ranges of the activations; 2,000 instead change the flips by nothing."""

MIN_COMPARED_IMAGES = 1000
MAX_COMPARED_IMAGES = 10_000
SEED = 0

NAMED = 20
"""The number of classes that a message names."""


@dataclass(frozen=True, kw_only=True, slots=True)
class QuantizationImages:
    """In-distribution images: to quantize, for the thresholds, and for the comparison.

    Attributes:
        tuning: Images that set the ranges of the activations, and that the graph is fine-tuned on.
        calibration: Other images, which set the thresholds; not trained on.
        compared: Other images, which are compared with float32.
        calibrated: Whether the calibration images are those of the float32 bundle.
    """

    tuning: NDArray[np.uint8]
    calibration: ImageSet
    compared: NDArray[np.uint8]
    calibrated: bool = False

    @property
    def ranges(self) -> NDArray[np.uint8]:
        """The images that set the ranges."""
        return self.tuning[:RANGE_IMAGES]


def images_of_recipe(bundle: Bundle) -> QuantizationImages:
    """Return the images by the bundle's own recipe.

    Its training images quantize, its calibration images set the thresholds, and its test images are
    compared. The figures choose nothing, so the test images stay unseen.

    Raises:
        RecipeError: The bundle has no recipe or was calibrated on other images, or the data of the
            recipe cannot be read or have other classes.
    """
    if record := bundle.manifest.calibration:
        raise RecipeError(
            f"{bundle.manifest.name} {bundle.manifest.version}: the bundle was calibrated on"
            f" {record.source}, not on the images of its recipe. Give held-out images of its"
            " distribution with --data"
        )
    recipe = recipe_of_bundle(bundle)
    if recipe is None:
        raise RecipeError(
            f"{bundle.manifest.name}: the bundle has no recipe that names its images. Give held-out"
            " images of its distribution with --data"
        )
    source, _ = evaluation_sources(recipe)
    try:
        inliers, test = load(recipe.inliers, recipe.input), load(source, recipe.input)
    except RecipeError as error:
        raise RecipeError(
            f"{error}. The recipe of {bundle.manifest.name} names this path. Give held-out images"
            " of its distribution with --data, or run the command in the folder of the recipe's"
            " data"
        ) from error
    match_all_classes(bundle.manifest.classes, inliers.classes, name=f"inliers: {inliers.name}")
    parts = split(inliers, recipe.inliers, seed=recipe.seed)
    return QuantizationImages(
        tuning=parts.training.images.numpy(),
        calibration=parts.calibration,
        compared=test.images[:MAX_COMPARED_IMAGES].numpy(),
        calibrated=True,
    )


def images_of_source(bundle: Bundle, source: Source, policy: Policy) -> QuantizationImages:
    """Return the images of a source that the classifier was not trained on; half of them calibrate.

    At least `MIN_COMPARED_IMAGES` and half of the others are compared. With groups, half of the
    groups calibrate, and no other image is of these groups.

    Raises:
        RecipeError: The images cannot be read.
        CalibrationError: There are too few images or groups.
    """
    images = load(source, bundle.manifest.input)
    order, half = random_halves(images, seed=SEED)
    expected = 2 * (RANGE_IMAGES + MIN_COMPARED_IMAGES)
    if len(images) < expected:
        raise CalibrationError(
            f"{images.name}: found {count_of(len(images), 'image')}, expected at least"
            f" {expected:,}: one half calibrates, the other quantizes ({RANGE_IMAGES})"
            f" and is compared (at least {MIN_COMPARED_IMAGES}). Give more images (--data,"
            " --images)"
        )
    check_calibration_half(images, policy)
    others = order[half:]
    if len(others) < RANGE_IMAGES + MIN_COMPARED_IMAGES:
        raise CalibrationError(
            f"{images.name}: the groups that calibrate have {half:,} of the {len(images):,} images,"
            f" which leaves {len(others):,}, expected at least"
            f" {RANGE_IMAGES + MIN_COMPARED_IMAGES:,} of them. Give more images (--data, --images)"
        )
    if images.groups is not None:
        # They are in the order of their groups.
        generator = torch.Generator().manual_seed(SEED)
        others = others[torch.randperm(len(others), generator=generator)]
    count = max(MIN_COMPARED_IMAGES, len(others) // 2)
    compared, tuning = others[:count], others[count:]
    return QuantizationImages(
        tuning=images.images[tuning].numpy(),
        calibration=images.subset(order[:half]),
        compared=images.images[compared[:MAX_COMPARED_IMAGES]].numpy(),
    )


def check_classes(known: Sequence[str], data: Listing) -> str | None:
    """Check that the classes of `--data` are those of a bundle, matched by name or number.

    Data without classes are not checked.

    Returns:
        A warning if some classes have no images.

    Raises:
        RecipeError: The data have a class that the bundle does not have.
    """
    if not data.classes:
        return None
    try:
        positions = match_classes(known, data.classes, name=f"--data {data.location}")
    except RecipeError as error:
        raise RecipeError(
            f"{error}. Give images of the distribution of the bundle, in sub-folders with the names"
            " of its classes or all in one folder"
        ) from error
    counts = data.counts.values()
    present = {at for at, count in zip(positions, counts, strict=True) if count}
    missing = [name for at, name in enumerate(known) if at not in present]
    if not missing:
        return None
    return (
        f"--data {data.location} has no image of {len(missing):,} of the {len(known):,} classes:"
        f" {', '.join(missing[:NAMED])}{', ...' if len(missing) > NAMED else ''}. The limit alpha"
        " of false rejections does not hold for images of these classes, and the quantized graph"
        " may be less exact for them"
    )
