"""Robust validation of networks whose results under attack are known by hand."""

import pytest
import torch
from torch import Tensor, nn

from oodguard.training.data.dataset import ImageSet
from oodguard.training.fit.robust_validation import RobustValidation
from tests.training.recipes import RECIPE, parsed, without_tables


class BrightnessClassifier(nn.Module):
    """Returns logits that are linear in the mean brightness, one per weight."""

    def __init__(self, weights: list[float]) -> None:
        super().__init__()
        self.weights = nn.Parameter(torch.tensor(weights))

    def forward(self, images: Tensor) -> Tensor:
        return 100 * (images.mean((1, 2, 3)) - 0.5)[:, None] * self.weights


def _grey(*levels: int) -> ImageSet:
    images = torch.tensor(levels, dtype=torch.uint8)[:, None, None, None].expand(-1, 8, 8, 3)
    labels = torch.tensor([int(level > 127) for level in levels])
    return ImageSet(name="grey", images=images, labels=labels, classes=("dark", "light"))


def _validation(
    inliers: ImageSet, outliers: ImageSet | None, *, text: str = RECIPE, method: str = "aloe"
) -> RobustValidation:
    recipe = parsed(text.replace('"aloe"', f'"{method}"'))
    return RobustValidation.from_data(recipe, inliers, outliers, training_images=120)


def test_images_within_epsilon_of_the_boundary_are_misclassified_under_attack() -> None:
    # 126 and 129 are 1.5 levels from the boundary; epsilon is 2 levels.
    validation = _validation(_grey(100, 126, 129, 200), None)
    result = validation(BrightnessClassifier([-1.0, 1.0]))
    assert result.accuracy == 1
    assert result.attacked_accuracy == 0.5


def test_auroc_attacks_both_sides_on_the_score_of_the_reject_class() -> None:
    # The log-odds of the reject class increase with brightness. Inliers of 100 become 102 and stay
    # below the outlier of 110, which becomes 108; the outlier of 103 becomes 101, below both.
    validation = _validation(_grey(100, 100), _grey(110, 103), method="aloe-abstain")
    assert validation(BrightnessClassifier([0.0, 0.0, 1.0])).attacked_auroc == 0.5
    assert validation.images == 2


@pytest.mark.parametrize("score", ["energy", "msp"])
def test_auroc_uses_a_score_of_the_classes_without_a_reject_class(score: str) -> None:
    # For logits (-z, z) both scores are highest at the decision boundary: outliers there are
    # rejected before the inliers, outliers far from it after them.
    text = RECIPE.replace('default_score = "msp"', f'default_score = "{score}"')
    network, inliers = BrightnessClassifier([-1.0, 1.0]), _grey(100, 160)
    assert _validation(inliers, _grey(127, 128), text=text)(network).attacked_auroc == 1
    assert _validation(inliers, _grey(255, 0), text=text)(network).attacked_auroc == 0


def test_synthetic_outliers_are_generated_from_validation_images_reproducibly() -> None:
    text = RECIPE.replace("[outliers]", "[outliers]\nsynthetic = 1.0")
    text = "\n".join(line for line in text.splitlines() if not line.endswith('outliers"'))
    first, second = (_validation(_grey(*range(60)), None, text=text).outliers for _ in range(2))
    assert first is not None
    assert second is not None
    assert first.shape == (50, 3, 8, 8)
    assert torch.equal(first, second)


def test_auroc_is_none_without_an_attack() -> None:
    text = without_tables(RECIPE, "attack")
    validation = _validation(_grey(100, 200), _grey(127, 128), text=text, method="oe")
    assert validation(BrightnessClassifier([-1.0, 1.0])).attacked_auroc is None


def test_nan_scores_count_as_rejected() -> None:
    validation = _validation(_grey(100, 200), _grey(127, 128))
    assert validation(BrightnessClassifier([float("nan"), 1.0])).attacked_auroc == 0.5


def test_validation_does_not_change_the_network() -> None:
    network = BrightnessClassifier([-1.0, 1.0]).train()
    _validation(_grey(100, 200), _grey(127, 128))(network)
    assert network.weights.requires_grad
    assert network.weights.grad is None
