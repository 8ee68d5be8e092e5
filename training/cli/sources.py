"""List the sources of a recipe before any work begins; torch is not needed."""

from oodguard.training.cli.command import print_message
from oodguard.training.config.recipe_sources import recipe_sources
from oodguard.training.data.classes import match_all_classes
from oodguard.training.data.listing import Listing, check_inliers
from oodguard.training.data.reader import list_sources

EVERY_TABLE = ("inliers", "outliers", "evaluation")


def list_recipe(text: str, tables: tuple[str, ...] = EVERY_TABLE) -> dict[str, Listing]:
    """List the sources of these tables of a recipe, print a line for each, and check their labels.

    Raises:
        RecipeError: sources cannot be read, or their classes do not suit each other.
    """
    sources = recipe_sources(text)
    used = {key: each for key, each in sources.items() if key.partition(".")[0] in tables}
    listings = list_sources(used, print_message)
    inliers, test = listings.get("inliers"), listings.get("evaluation.test")
    if inliers is not None:
        check_inliers(inliers.location, inliers.classes, inliers.labels)
    if inliers is not None and test is not None:
        match_all_classes(inliers.classes, test.classes, name=f"evaluation.test: {test.location}")
    return listings
