"""The sets that a run is measured on: a recipe's own, and the classes that it never trained."""

from training.recipe import UNKNOWN_CLASSES, Recipe
from training.sources import Source


def evaluation_sources(recipe: Recipe) -> tuple[Source, dict[str, Source]]:
    """Return the source of the test set and those of the out-of-distribution sets by name.

    Where the inliers leave classes out, the test set leaves out the same, and what it has of them
    is an out-of-distribution set of its own, the nearest that there is: an unknown one of the kind
    that is known.
    """
    inliers, test = recipe.inliers, recipe.evaluation.test
    outliers = dict(recipe.evaluation.outliers)
    if not (inliers.leave_out or inliers.only):
        return test, outliers
    known = {"leave_out": inliers.leave_out, "only": inliers.only}
    unknown = {"leave_out": inliers.only, "only": inliers.leave_out}
    return test.model_copy(update=known), {
        UNKNOWN_CLASSES: test.model_copy(update=unknown),
        **outliers,
    }
