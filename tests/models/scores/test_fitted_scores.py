"""Expected values by hand, on two-dimensional features."""

import math

import pytest
import torch
from torch import Tensor

from oodguard.models.errors import RecipeError
from oodguard.models.scores import FITTED_SCORES
from oodguard.models.scores.base import ScoreOptions
from tests.models.scores.fits import fit, head

# Class means (1, 0) and (10, 6); about them the covariance is diag(1/2, 2).
FEATURES = torch.tensor([[0.0, 0.0], [2.0, 0.0], [10.0, 4.0], [10.0, 8.0]])
LABELS = torch.tensor([0, 0, 1, 1])
NO_LOGITS = torch.zeros(4, 2)


def _logits(probabilities: list[list[float]]) -> Tensor:
    return torch.tensor(probabilities).log()


def test_mahalanobis_is_the_squared_distance_to_the_nearest_class() -> None:
    score = fit("mahalanobis", FEATURES, NO_LOGITS, LABELS)
    # From (1, 0): 1 / (1/2) + 4 / 2. From (10, 6): 0 + 9 / 2.
    scores = score(torch.tensor([[2.0, 2.0], [10.0, 3.0]]), NO_LOGITS[:2])
    assert scores.tolist() == pytest.approx([4.0, 4.5])


def test_relative_mahalanobis_subtracts_the_distance_to_all_images() -> None:
    score = fit("relative_mahalanobis", FEATURES, NO_LOGITS, LABELS)
    # All: mean (5.5, 3), covariance [[20.75, 13.5], [13.5, 11]] of determinant 46. For (2, 2):
    # (11 * 3.5^2 - 2 * 13.5 * 3.5 * 1 + 20.75 * 1^2) / 46 = 61 / 46.
    scores = score(torch.tensor([[2.0, 2.0]]), NO_LOGITS[:1])
    assert scores.item() == pytest.approx(4 - 61 / 46, rel=1e-5)


def test_mahalanobis_gives_a_direction_without_variance_the_smallest_variance() -> None:
    # Variance 1 along the first axis and none along the second, which is raised to 1e-6.
    features = torch.tensor([[-1.0, 5.0], [1.0, 5.0], [-1.0, 5.0], [1.0, 5.0]])
    score = fit("mahalanobis", features, NO_LOGITS, torch.tensor([0, 0, 1, 1]))
    scores = score(torch.tensor([[3.0, 5.0], [0.0, 5.01]]), NO_LOGITS[:2])
    assert scores.tolist() == pytest.approx([9.0, 100.0], rel=1e-3)


def test_vim_adds_the_scaled_residual_to_the_energy() -> None:
    # Logits are f - (0, 1), so the origin is (0, 1). About it the second moment is diag(9/2, 1/2):
    # the second axis is the residual space. Mean residual 1/2, mean largest logit 1: scale 2.
    features = torch.tensor([[3.0, 1.0], [-3.0, 1.0], [0.0, 2.0], [0.0, 0.0]])
    layer = head(torch.eye(2), torch.tensor([0.0, -1.0]))
    with torch.no_grad():
        score = fit("vim", features, layer(features), LABELS, layer=layer)
        asked = torch.tensor([[1.0, 3.0]])
        scores = score(asked, layer(asked))
    assert scores.item() == pytest.approx(2 * 2 - math.log(math.e + math.e**2))


def test_vim_ignores_the_reject_class() -> None:
    features = torch.tensor([[3.0, 1.0], [-3.0, 1.0], [0.0, 2.0], [0.0, 0.0]])
    weight, bias = torch.tensor([[1.0, 0.0], [0.0, 1.0]]), torch.tensor([0.0, -1.0])
    rejecting = head(torch.cat([weight, torch.ones(1, 2)]), torch.cat([bias, torch.ones(1)]))
    logits = features @ weight.T + bias
    one, two = (
        fit("vim", features, logits, LABELS, layer=layer)
        for layer in (head(weight, bias), rejecting)
    )
    torch.testing.assert_close(one.get_buffer("origin"), two.get_buffer("origin"))


def test_knn_is_the_distance_between_directions() -> None:
    features = torch.tensor([[2.0, 0.0], [0.0, 3.0], [-1.0, 0.0], [0.0, -5.0]])
    scores = []
    for neighbour in (1, 2, 3):
        options = ScoreOptions(knn_neighbour=neighbour)
        score = fit("knn", features, NO_LOGITS, LABELS, options=options)
        scores.append(score(torch.tensor([[3.0, 4.0]]), NO_LOGITS[:1]).item())
    # From (0.6, 0.8) to (0, 1), to (1, 0) and to (-1, 0).
    assert scores == pytest.approx([math.sqrt(0.4), math.sqrt(0.8), math.sqrt(3.2)])


def test_knn_has_a_gradient_at_an_image_of_the_bank() -> None:
    score = fit("knn", FEATURES, NO_LOGITS, LABELS, options=ScoreOptions(knn_neighbour=1))
    at = FEATURES[2:3].clone().requires_grad_(True)
    (gradient,) = torch.autograd.grad(score(at, NO_LOGITS[:1]).sum(), at)
    assert gradient.tolist() == [[0.0, 0.0]]


def test_kl_matching_is_the_divergence_from_the_nearest_typical_output() -> None:
    # Typical answers: (.8 + .6, .2 + .4) / 2 = (.7, .3) of the first class, (.2, .8) of the other.
    logits = _logits([[0.8, 0.2], [0.6, 0.4], [0.2, 0.8]])
    score = fit("kl_matching", FEATURES[:3], logits, LABELS[:3])
    scores = score(FEATURES[:2], _logits([[0.5, 0.5], [0.2, 0.8]]))
    # .5 log(.5 / .7) + .5 log(.5 / .3); to (.2, .8) it is .5 log(.25 / .16), which is more.
    assert scores.tolist() == pytest.approx([0.5 * math.log(25 / 21), 0.0], abs=1e-6)


def test_kl_matching_ignores_classes_that_are_never_predicted() -> None:
    logits = _logits([[0.8, 0.1, 0.1], [0.8, 0.1, 0.1]])
    score = fit("kl_matching", FEATURES[:2], logits, LABELS[:2])
    divergence = score(FEATURES[:1], _logits([[0.1, 0.1, 0.8]])).item()
    assert divergence == pytest.approx(0.7 * math.log(8))


@pytest.mark.parametrize("name", ["mahalanobis", "relative_mahalanobis"])
def test_mahalanobis_rejects_a_class_without_images(name: str) -> None:
    with pytest.raises(RecipeError, match=r"numbers \[2\] have no training image"):
        fit(name, FEATURES, torch.zeros(4, 3), LABELS)


@pytest.mark.parametrize("name", ["mahalanobis", "relative_mahalanobis"])
@pytest.mark.parametrize(("value", "message"), [(1.0, "no variance"), (math.nan, "not finite")])
def test_mahalanobis_rejects_features_without_a_covariance(
    name: str, value: float, message: str
) -> None:
    with pytest.raises(RecipeError, match=message):
        fit(name, torch.full((4, 2), value), NO_LOGITS, LABELS)


def test_vim_rejects_invalid_options_head_and_logits() -> None:
    with pytest.raises(RecipeError, match="is 2, expected at least 1 and less than 2"):
        fit("vim", FEATURES, NO_LOGITS, LABELS, options=ScoreOptions(vim_dimensions=2))
    with pytest.raises(RecipeError, match="linear head, received Identity"):
        fit("vim", FEATURES, NO_LOGITS, LABELS, layer=torch.nn.Identity())
    on_a_line = torch.tensor([[1.0, 0.0], [2.0, 0.0], [3.0, 0.0], [4.0, 0.0]])
    layer = head(torch.eye(2), torch.zeros(2))
    with pytest.raises(RecipeError, match="is 1, which covers all variation"):
        fit("vim", on_a_line, on_a_line, LABELS, layer=layer)
    with pytest.raises(RecipeError, match="positive on average, received a mean of -1"):
        fit("vim", FEATURES, NO_LOGITS - 1, LABELS, layer=layer)


def test_knn_rejects_a_neighbour_beyond_its_bank() -> None:
    options = ScoreOptions(knn_bank=3, knn_neighbour=4)
    with pytest.raises(RecipeError, match="is 4, expected at most 3, the number of images"):
        fit("knn", FEATURES, NO_LOGITS, LABELS, options=options)


@pytest.mark.parametrize("name", FITTED_SCORES)
def test_fitted_score_is_higher_far_from_the_training_images(name: str) -> None:
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(300) % 3
    centres = torch.tensor([[8.0, 0, 0, 0], [0, 8.0, 0, 0], [0, 0, 8.0, 0]])
    near = centres[labels] + torch.randn(300, 4, generator=generator)
    far = torch.tensor([[0.0, 0.0, 0.0, 9.0]])
    layer = head(centres / 8, torch.zeros(3))
    with torch.no_grad():
        score = fit(name, near, layer(near), labels, layer=layer)
        assert score(far, layer(far)).item() > score(near, layer(near)).quantile(0.99)
