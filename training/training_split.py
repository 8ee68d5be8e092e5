"""The split that a network was trained with, and what it has in common with that of another run.

A run that learns from earlier weights calibrates on images that it holds out. The guaranteed
false-rejection rate assumes that no network learned from these images, so the earlier weights must
have held out the same ones.
"""

from collections.abc import Callable
from dataclasses import dataclass

from oodguard.models.bundle import Bundle
from oodguard.models.errors import RecipeError
from oodguard.training.config.recipe import Recipe, recipe_of_bundle
from oodguard.training.run_folder import RunFolder
from oodguard.training.run_progress import WeightsOrigin

_OTHERS = {
    *("hub", "folder", "table", "parquet", "split", "image_column", "label_column"),
    *("mirror", "distort"),
}
"""Keys of `[inliers]` that do not determine the split: the place of the images, augmentation."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainingSplit:
    """The recipe and the number of training images, which determine the images held out.

    `knows_others` is whether the network learned from weights of another split itself.
    """

    recipe: Recipe
    images: int
    knows_others: bool = False

    @classmethod
    def of_run(cls, run: RunFolder) -> "TrainingSplit":
        """Return the split of a run with a checkpoint.

        Raises:
            RecipeError: A file of the run is damaged.
        """
        progress = run.progress()
        origins = (progress.teacher, progress.started_from)
        return cls(
            recipe=run.recipe,
            images=progress.training_images,
            knows_others=any(each is not None and each.same_split is False for each in origins),
        )

    @classmethod
    def of_bundle(cls, bundle: Bundle) -> "TrainingSplit | None":
        """Return the split of the network in a bundle; None without a recipe that is understood."""
        try:
            recipe = recipe_of_bundle(bundle)
        except RecipeError:  # that of another release
            return None
        if recipe is None:
            return None
        origins = (bundle.evaluation.get("teacher"), bundle.evaluation.get("started_from"))
        return cls(
            recipe=recipe,
            images=bundle.manifest.training.inliers.images,
            knows_others=any(
                isinstance(each, dict) and each.get("same_split") is False for each in origins
            ),
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

    Without `earlier`, the split of the weights is not known.
    """
    if earlier is None:
        return origin
    differences = earlier.differences(now)
    if differences:
        warn(
            f"{key}: {origin.name} may have learned calibration images of this run, because its"
            f" split of the images is another one: {'; '.join(differences)}. Then the guaranteed"
            " false-rejection rate does not hold. Use the same seed and [inliers] in both, or"
            " calibrate the bundle on images that neither of them has seen: oodguard calibrate"
        )
    return origin.model_copy(update={"same_split": not differences})


def _settings(recipe: Recipe) -> dict[str, object]:
    inliers = recipe.inliers.model_dump(exclude=_OTHERS)
    return {"seed": recipe.seed} | {f"inliers.{key}": value for key, value in inliers.items()}
