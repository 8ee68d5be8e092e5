"""What a run trains on and watches, read as its recipe says."""

from collections.abc import Callable

from models.errors import RecipeError
from training.data import ImageSet, load, split
from training.duplicates import without_inliers
from training.loop import Data
from training.recipe import Recipe


def read_data(recipe: Recipe, warn: Callable[[str], None]) -> Data:
    """Load the inliers' training and validation parts, and the outliers.

    Outliers that are inliers as well are left out, of which `warn` hears.

    Raises:
        RecipeError: a source cannot be read, or is too small for the recipe.
    """
    every = load(recipe.inliers, recipe.input)
    inliers = split(every, recipe.inliers, seed=recipe.seed)
    if len(inliers.training) < recipe.schedule.batch_size:
        raise RecipeError(
            f"schedule.batch_size: {recipe.schedule.batch_size} is more than the"
            f" {len(inliers.training)} images left for training; a smaller one was wanted"
        )
    outliers: ImageSet | None = None
    held_out: ImageSet | None = None
    if recipe.outliers is not None and recipe.outliers.synthetic < 1:
        pool = without_inliers(load(recipe.outliers, recipe.input), every, warn)
        outliers, held_out = _parted(pool, recipe.outliers.validation)
    return Data(
        training=inliers.training,
        validation=inliers.validation,
        outliers=outliers,
        held_out=held_out,
    )


def _parted(pool: ImageSet, validation: int) -> tuple[ImageSet, ImageSet | None]:
    """Divide the outliers into those that are trained on and, where asked, those held out."""
    if validation == 0:
        return pool, None
    if len(pool) < 2 * validation:
        raise RecipeError(
            f"outliers.validation: {validation} were to be held out, at most half of the"
            f" {len(pool)} in {pool.name} were wanted"
        )
    return pool.subset(slice(-validation)), pool.subset(slice(-validation, None))
