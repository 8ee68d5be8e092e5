"""The split that a network was trained with, and what it has in common with that of another run.

A run that learns from earlier weights calibrates on images that it holds out. The guaranteed
false-rejection rate assumes that no network learned from these images, so the earlier weights must
have held out the same ones.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from pydantic import ValidationError

from oodguard.models.bundle import Bundle
from oodguard.models.errors import RecipeError
from oodguard.models.validation_errors import describe_error
from oodguard.training.config.recipe import Recipe, recipe_of_bundle
from oodguard.training.data.card import DataCard, read_data_card
from oodguard.training.run_folder import DATA, RunFolder
from oodguard.training.run_progress import WeightsOrigin

ORIGINS = ("teacher", "started_from")
"""The keys of progress.json and evaluation.json for the weights that a network learned from."""

_OTHERS = {
    *("hub", "folder", "table", "parquet", "split", "image_column", "label_column"),
    *("mirror", "distort"),
}
"""Keys of `[inliers]` that do not determine the split: the place of the images, augmentation."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainingSplit:
    """The recipe, the images and their order, which determine the images held out.

    `images` is the number of training images. `inliers` is the hash of all inliers, None if it is
    not known, as for a bundle of an earlier release. `knows_others` is whether the network learned
    from weights of another split itself, None if it learned from weights whose split is not known.
    """

    recipe: Recipe
    images: int
    inliers: str | None
    knows_others: bool | None = False

    @classmethod
    def of_run(cls, run: RunFolder) -> "TrainingSplit | None":
        """Return the split of a run with a checkpoint; None if its recipe is not understood.

        Raises:
            RecipeError: Another file of the run is damaged.
        """
        progress, card = run.progress(), read_data_card(run.folder / DATA)
        try:
            recipe = run.recipe
        except RecipeError:  # that of another release
            return None
        return cls(
            recipe=recipe,
            images=progress.training_images,
            inliers=inliers_sha256(card, recipe),
            knows_others=_of_another_split(progress.teacher, progress.started_from),
        )

    @classmethod
    def of_bundle(cls, bundle: Bundle) -> "TrainingSplit | None":
        """Return the split of the network in a bundle; None without the recipe of its training.

        The recipe may be another one after an evaluation with other data.

        Raises:
            RecipeError: The evaluation is invalid.
        """
        training, evaluation = bundle.manifest.training, bundle.evaluation
        try:
            recipe = recipe_of_bundle(bundle)
        except RecipeError:  # that of another release
            return None
        if recipe is None or (recipe.seed, recipe.method, recipe.inliers.name) != (
            training.seed,
            training.method,
            training.inliers.name,
        ):
            return None
        inliers = evaluation.get("inliers")
        return cls(
            recipe=recipe,
            images=training.inliers.images,
            inliers=inliers if isinstance(inliers, str) else None,
            knows_others=_of_another_split(*recorded_origins(evaluation).values()),
        )

    def differences(self, now: "TrainingSplit") -> list[str]:
        """Return what differs from the split of a run that learns from this network."""
        before, after = _settings(self.recipe), _settings(now.recipe)
        found = [
            f"{key} is {before[key]}, here {after[key]}"
            for key in before
            if before[key] != after[key]
        ]
        if self.images != now.images:
            found.append(f"it has {self.images:,} training images, here {now.images:,}")
        if self.inliers and now.inliers and self.inliers != now.inliers:
            found.append("its inliers are other images, or in another order, or in other groups")
        if self.knows_others:
            found.append("it learned from weights of another split")
        return found


def with_split(
    origin: WeightsOrigin,
    earlier: TrainingSplit | None,
    now: TrainingSplit,
    *,
    key: str,
    warn: Callable[[str], None],
) -> WeightsOrigin:
    """Return the origin with `same_split`; warn if the splits differ. `key` names the weights.

    Without `earlier`, or without the hash of both inliers, it is not known that they are the same.
    """
    if earlier is None:
        return origin
    if differences := earlier.differences(now):
        warn(
            f"{key}: {origin.name} may have learned calibration images of this run, because its"
            f" split of the images is another one: {'; '.join(differences)}. If it has, the"
            " guaranteed false-rejection rate does not hold. Use the same images, seed and"
            " [inliers] in both, or calibrate the bundle on images that neither of them has seen:"
            " oodguard calibrate"
        )
        return origin.model_copy(update={"same_split": False})
    are_known = None not in {earlier.inliers, now.inliers, earlier.knows_others}
    return origin.model_copy(update={"same_split": True if are_known else None})


def inliers_sha256(card: DataCard | None, recipe: Recipe) -> str | None:
    """Return the hash of the inliers, their order and their groups.

    None if there is no card, or if it is an older one without the groups of the recipe.
    """
    inliers = card.sources.get("inliers") if card else None
    if inliers is None or (recipe.inliers.group is not None and inliers.groups is None):
        return None
    return hashlib.sha256(f"{inliers.sha256} {inliers.groups}".encode()).hexdigest()


def recorded_origins(evaluation: Mapping[str, object]) -> dict[str, WeightsOrigin | None]:
    """Return the weights that an evaluation.json records, by key; None where it has none.

    Raises:
        RecipeError: A record is invalid.
    """
    try:
        return {
            key: None
            if evaluation.get(key) is None
            else WeightsOrigin.model_validate(evaluation[key])
            for key in ORIGINS
        }
    except ValidationError as error:
        cause = describe_error(error.errors()[0])
        raise RecipeError(f"evaluation.json is invalid: {cause}") from error


def _of_another_split(*origins: WeightsOrigin | None) -> bool | None:
    found = {each.same_split for each in origins if each is not None}
    if False in found:
        return True
    return None if None in found else False


def _settings(recipe: Recipe) -> dict[str, object]:
    inliers = recipe.inliers.model_dump(exclude=_OTHERS)
    return {"seed": recipe.seed} | {f"inliers.{key}": value for key, value in inliers.items()}
