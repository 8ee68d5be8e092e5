"""List the sources of a recipe before any work begins; torch is not needed."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from oodguard.command_line.output import message, warn
from oodguard.command_line.progress import progress, stages
from oodguard.models.errors import RecipeError
from oodguard.models.manifest import InputSpec
from oodguard.sources.classes import describe_positions, match_all_classes, match_classes
from oodguard.sources.listing import Listing, check_inliers
from oodguard.sources.reader import list_sources
from oodguard.training.config.recipe_sources import recipe_sources, training_settings
from oodguard.training.data.card import check_unchanged, read_data_card

EVERY_TABLE = ("inliers", "outliers", "evaluation")


def list_recipe(
    text: str, tables: tuple[str, ...] = EVERY_TABLE, *, skip_broken: bool = False
) -> dict[str, Listing]:
    """List the sources of these tables of a recipe, print a line for each, and check their labels.

    With `skip_broken` images of the evaluation that cannot be read are left out.

    Raises:
        RecipeError: Sources cannot be read, or their classes do not suit each other.
    """
    sources = recipe_sources(text)
    used = {key: each for key, each in sources.items() if key.partition(".")[0] in tables}
    if skip_broken:
        skipping = {"skip_broken": True}
        used |= {
            key: (source.model_copy(update=skipping), labelled)
            for key, (source, labelled) in used.items()
            if key.startswith("evaluation.")
        }
    with stages("listing the images"):
        listings = list_sources(used, message)
    inliers, test = listings.get("inliers"), listings.get("evaluation.test")
    if inliers is not None:
        check_inliers(inliers.location, inliers.classes, inliers.labels)
    if inliers is not None and test is not None:
        match_all_classes(inliers.classes, test.classes, name=f"evaluation.test: {test.location}")
        print_positions(inliers.classes, "evaluation.test", test)
        if missing := [name for name, count in test.counts.items() if count == 0]:
            warn(
                f"evaluation.test: {test.location} has no image of {len(missing):,} of"
                f" {len(test.classes):,} classes, which are not measured: {', '.join(missing)}. A"
                " table is read in its order: shuffle its rows or remove the limit `images`"
            )
    return listings


def print_positions(known: Sequence[str], key: str, listing: Listing) -> None:
    """Print which classes the numbers of a source mean, if they are positions in `known`.

    Raises:
        RecipeError: A class is not known.
    """
    name = f"{key}: {listing.location}"
    match_classes(known, listing.classes, name=name)
    if text := describe_positions(known, listing.classes, name=name):
        message(text)


def check_run_data(card: Path, recipe: str, listings: Mapping[str, Listing], *keys: str) -> None:
    """Check that the recipe and these sources are unchanged since `fit`, which wrote their card.

    Without the card, as in a run of an earlier commit, this is a warning.

    Raises:
        RecipeError: A source has other images, the recipe has other settings, or the card is
            damaged.
    """
    recorded = read_data_card(card)
    if recorded is None:
        warn(
            f"{card} does not exist: it cannot be checked that the images are those that the"
            " run was trained on, and that the evaluation has no images among them"
        )
        return
    if recorded.settings not in {None, training_settings(recipe)}:
        raise RecipeError(
            f"{card.parent}: the recipe was changed after training, in more than names, scores, the"
            " places of data and [evaluation]. Other settings may split the images differently, so"
            " that trained ones would calibrate. Restore the recipe, or train a new run"
        )
    with stages("comparing the images with those of the training"):
        check_unchanged(recorded, {key: listings[key] for key in keys if key in listings})


def prepare_large(listings: Mapping[str, Listing], spec: InputSpec) -> None:
    """Write the prepared images of large sources to the cache, and show the progress.

    Raises:
        RecipeError: Images cannot be read, or the cache cannot be written.
    """
    from oodguard.training.data.cache import cached_images, is_large  # noqa: PLC0415  (loads torch)

    large = {key: listing for key, listing in listings.items() if is_large(listing, spec)}
    for key, listing in large.items():
        with progress(f"preparing {key}", len(listing)) as advance:
            images, *_ = cached_images(listing, spec, advance=advance)
        message(f"{key}: the prepared images are in {images.path.parent}")
