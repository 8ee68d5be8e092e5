"""The sources of the images that a recipe evaluates on."""

from oodguard.sources.source import Source
from oodguard.training.config.recipe import EvaluationRecipe, Recipe
from oodguard.training.config.recipe_sources import UNKNOWN_CLASSES


def evaluation_sources(
    recipe: Recipe | EvaluationRecipe,
) -> tuple[Source, dict[str, Source]]:
    """Return the source of the test set and those of the out-of-distribution sets by name.

    Where the inliers leave classes out, the test set leaves out the same classes. Its images of
    these classes become the additional set `unknown_classes`: out-of-distribution images from the
    same source as the inliers.
    """
    test, outliers = recipe.evaluation.test, dict(recipe.evaluation.outliers)
    if not isinstance(recipe, Recipe):
        return test, outliers
    test, unknown = recipe.inliers.divide_classes(test)
    return test, outliers if unknown is None else {UNKNOWN_CLASSES: unknown, **outliers}


def without_broken_images(recipe: Recipe | EvaluationRecipe) -> Recipe | EvaluationRecipe:
    """Return a recipe whose evaluation leaves out images that cannot be read.

    The inliers stay as they are: their split depends on the number of images.
    """
    skip = {"skip_broken": True}
    evaluation = recipe.evaluation
    outliers = {name: each.model_copy(update=skip) for name, each in evaluation.outliers.items()}
    test = evaluation.test.model_copy(update=skip)
    sources = evaluation.model_copy(update={"test": test, "outliers": outliers})
    return recipe.model_copy(update={"evaluation": sources})
