"""Detectors compared with pytorch-ood 0.4, by hand, and under attack."""

import pytest
import torch
from torch import Tensor

from oodguard.models.scores.base import of_logits
from oodguard.models.scores.logit_scores import msp
from oodguard.training.attacks.base import value_and_gradient
from oodguard.training.detectors import DETECTORS, Detector, odin, with_preprocessing
from oodguard.training.scoring.graph import ScoredNetwork
from tests.models.scores.fits import fit
from tests.models.scores.golden.problem import GOLDEN, INPUTS, Problem

IMAGES, SEEN = INPUTS["images"], INPUTS["training_images"]
ROWS = torch.arange(len(IMAGES))


@pytest.fixture(scope="module")
def classifier() -> ScoredNetwork:
    network = Problem()
    labels = INPUTS["training_labels"]
    score = fit("mahalanobis", network.features(SEEN), network(SEEN), labels)
    return ScoredNetwork(network, {"mahalanobis": score, "msp": of_logits(msp)}, classes=3)


def test_odin_equals_pytorch_ood(classifier: ScoredNetwork) -> None:
    # Ours is log((1 - p) / p), theirs -p.
    scores = torch.sigmoid(odin(classifier)(IMAGES)) - 1
    torch.testing.assert_close(scores, GOLDEN["odin"], rtol=0, atol=1e-6)
    # Without the pre-processing the score is different.
    assert (odin(classifier, step=0.0)(IMAGES).sigmoid() - 1 - GOLDEN["odin"]).abs().max() > 2e-6


def test_preprocessed_mahalanobis_equals_pytorch_ood(classifier: ScoredNetwork) -> None:
    scores = DETECTORS["preprocessed_mahalanobis"](classifier)(IMAGES)
    expected = 2 * len(SEEN) * GOLDEN["mahalanobis_odin"]
    torch.testing.assert_close(scores, expected, rtol=1e-3, atol=1e-4)
    assert (scores < classifier.score("mahalanobis", IMAGES)).all()


def test_preprocessed_mahalanobis_requires_the_fitted_score() -> None:
    plain = ScoredNetwork(Problem(), {"msp": of_logits(msp)}, classes=3)
    with pytest.raises(KeyError, match="mahalanobis"):
        DETECTORS["preprocessed_mahalanobis"](plain)


def test_input_preprocessing_decreases_the_score_by_hand() -> None:
    def square(images: Tensor) -> Tensor:
        return images.square().sum(dim=(1, 2, 3))

    images = torch.tensor([0.5, 0.25, 1.0]).view(1, 3, 1, 1)
    detector = with_preprocessing(square, step=0.25)
    assert detector(images).item() == 0.25**2 + 0 + 0.75**2
    # The gradient passes straight through the step: it is that of the square at the moved image.
    _, gradient = value_and_gradient(lambda pixels, _: detector(pixels), images, ROWS[:1])
    assert gradient.flatten().tolist() == [0.5, 0.0, 1.5]


@pytest.mark.parametrize("name", DETECTORS)
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_detector_has_gradients_for_an_attack(
    classifier: ScoredNetwork, name: str, sign: float
) -> None:
    detector: Detector = DETECTORS[name](classifier)

    def objective(images: Tensor, _: Tensor) -> Tensor:
        return sign * detector(images)

    before, gradient = value_and_gradient(objective, IMAGES, ROWS)
    assert torch.isfinite(gradient).all()
    after = objective(IMAGES + 1e-3 * gradient.sign(), ROWS)
    assert (after > before).all()


def test_detector_computes_scores_under_no_grad(classifier: ScoredNetwork) -> None:
    detector = odin(classifier)
    with torch.no_grad():
        torch.testing.assert_close(detector(IMAGES), odin(classifier)(IMAGES))
        assert not detector(IMAGES).requires_grad
