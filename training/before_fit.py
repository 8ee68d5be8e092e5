"""What a recipe can be told before hours of training: places that are missing, images too few."""

from models.calibration import rejection_rank
from models.decision import Policy
from models.errors import CalibrationError, RecipeError
from training.evaluation_sources import evaluation_sources
from training.recipe import Recipe


def check_places(recipe: Recipe) -> None:
    """Look whether every folder and file of a recipe is there, those of the evaluation as well.

    Raises:
        RecipeError: naming the keys and what is not there.
    """
    test, outliers = evaluation_sources(recipe)
    sources = {
        "inliers": recipe.inliers,
        "outliers": recipe.outliers,
        "evaluation.test": test,
        **{f"evaluation.outliers.{name}": source for name, source in outliers.items()},
    }
    places = {key: s.folder or s.parquet for key, s in sources.items() if s is not None}
    missing = [f"  {key}: {place}" for key, place in places.items() if place and not place.exists()]
    if missing:
        raise RecipeError(
            "the recipe names what is not there (paths count from the folder that the command"
            " runs in):\n" + "\n".join(missing)
        )


def note_on_calibration(recipe: Recipe) -> str | None:
    """Return what `evaluate` will say of too few calibration images at its default policy."""
    policy = Policy(score=recipe.default_score)
    try:
        rejection_rank(recipe.inliers.calibration, alpha=policy.alpha, delta=policy.delta)
    except CalibrationError as error:
        return f"inliers.calibration: {error}"
    return None
