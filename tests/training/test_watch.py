"""What is watched, on networks whose figures under attack are known by hand."""

import pytest
import torch
from torch import Tensor, nn

from oodguard.training.config.recipe import Recipe, parse_recipe
from oodguard.training.data.dataset import ImageSet
from oodguard.training.fit.robust_validation import RobustValidation


class ByBrightness(nn.Module):
    """Two classes and, if asked, a reject class: logits rise with the mean of all pixels."""

    def __init__(self, weights: list[float]) -> None:
        super().__init__()
        self.weights = nn.Parameter(torch.tensor(weights))

    def forward(self, images: Tensor) -> Tensor:
        return 100 * (images.mean((1, 2, 3)) - 0.5)[:, None] * self.weights


def _grey(*levels: int) -> ImageSet:
    images = torch.tensor(levels, dtype=torch.uint8)[:, None, None, None].expand(-1, 8, 8, 3)
    labels = torch.tensor([int(level > 127) for level in levels])
    return ImageSet(name="grey", images=images, labels=labels, classes=("dark", "light"))


def _recipe(text: str, method: str = "aloe") -> Recipe:
    return parse_recipe(text.replace('"aloe"', f'"{method}"'), origin="tiny.toml")


def test_an_image_nearer_to_the_border_than_epsilon_is_lost_under_attack(recipe_text: str) -> None:
    watch = RobustValidation.of(_recipe(recipe_text), _grey(100, 126, 129, 200), None)
    figures = watch(ByBrightness([-1.0, 1.0]))  # 126 and 129 are 1.5 levels from it, epsilon is 2
    assert figures.accuracy == 1
    assert figures.attacked_accuracy == 0.5


def test_both_sides_are_attacked_on_the_score_of_the_reject_class(recipe_text: str) -> None:
    recipe = _recipe(recipe_text, "aloe-abstain")
    # The reject class's log-odds rise with brightness: inliers of 100 go to 102 and stay below the
    # outlier of 110, which goes to 108; the one of 103 goes to 101, and is below all of them.
    watch = RobustValidation.of(recipe, _grey(100, 100), _grey(110, 103))
    assert watch(ByBrightness([0.0, 0.0, 1.0])).attacked_auroc == 0.5
    assert watch.images == 2


@pytest.mark.parametrize(
    ("score", "light"),
    # Outputs (-z, z): energy is lowest far from the border, and so is MSP's log-odds. Outliers at
    # the border are rejected more, on either; those beyond the inliers less.
    [("energy", 255), ("msp", 255)],
)
def test_a_score_of_the_classes_is_watched_where_there_is_no_reject_class(
    recipe_text: str, score: str, light: int
) -> None:
    text = recipe_text.replace('default_score = "msp"', f'default_score = "{score}"')
    network = ByBrightness([-1.0, 1.0])
    inliers = _grey(100, 160)
    assert RobustValidation.of(_recipe(text), inliers, _grey(127, 128))(network).attacked_auroc == 1
    assert RobustValidation.of(_recipe(text), inliers, _grey(light, 0))(network).attacked_auroc == 0


def test_synthetic_outliers_are_made_of_validation_images_once_for_all(recipe_text: str) -> None:
    text = recipe_text.replace("[outliers]", "[outliers]\nsynthetic = 1.0")
    text = "\n".join(line for line in text.splitlines() if not line.endswith('outliers"'))
    first, second = (
        RobustValidation.of(_recipe(text), _grey(*range(60)), None).outliers for _ in range(2)
    )
    assert first is not None
    assert second is not None
    assert first.shape == (60, 3, 8, 8)
    assert torch.equal(first, second)


def test_no_auroc_is_watched_without_an_attack(recipe_text: str) -> None:
    kept = [part for part in recipe_text.split("\n\n") if not part.startswith("[attack]")]
    watch = RobustValidation.of(_recipe("\n\n".join(kept), "oe"), _grey(100, 200), _grey(127, 128))
    assert watch(ByBrightness([-1.0, 1.0])).attacked_auroc is None


def test_scores_that_are_no_numbers_count_as_rejected(recipe_text: str) -> None:
    watch = RobustValidation.of(_recipe(recipe_text), _grey(100, 200), _grey(127, 128))
    assert watch(ByBrightness([float("nan"), 1.0])).attacked_auroc == 0.5


def test_the_network_is_left_as_it_was(recipe_text: str) -> None:
    network = ByBrightness([-1.0, 1.0]).train()
    RobustValidation.of(_recipe(recipe_text), _grey(100, 200), _grey(127, 128))(network)
    assert network.weights.requires_grad
    assert network.weights.grad is None
