"""Objectives of attacks, compared with the scores themselves."""

import math

import pytest
import torch
from torch import Tensor, nn

from oodguard.models.decision import rejects
from oodguard.models.networks.classifier import Classifier
from oodguard.models.scores import FITTED_SCORES, LOGIT_SCORES
from oodguard.models.scores.base import Score, of_logits
from oodguard.models.scores.logit_scores import gen
from oodguard.training.attacks.base import value_and_gradient
from oodguard.training.attacks.objectives import (
    acceptance_objectives,
    rejection_objective,
    score_objective,
    surrogate,
    wrong_and_accepted_objective,
)
from oodguard.training.detectors import DETECTORS
from oodguard.training.scoring.graph import ScoredNetwork
from tests.models.scores.fits import fit

CLASSES = 4
IMAGES = torch.rand(200, 3, 2, 2, generator=torch.Generator().manual_seed(1))
ROWS = torch.arange(200)
BY_CLASS = ["msp", "max_logit", "mahalanobis", "relative_mahalanobis", "kl_matching"]


class Plain(Classifier):
    """Five features, each a weighted sum of the pixels."""

    head: nn.Linear

    def __init__(self, *, outputs: int = CLASSES, gain: float = 1.0) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layer = nn.Linear(12, 5)
        self.head = nn.Linear(5, outputs)
        self.head.weight.data *= gain

    def features(self, images: Tensor) -> Tensor:
        features: Tensor = self.layer(10 * (images.flatten(1) - 0.5))
        return features


@pytest.fixture(scope="module")
def classifier() -> ScoredNetwork:
    network = Plain()
    with torch.no_grad():
        features = network.features(torch.rand(300, 3, 2, 2))
        logits = network.head(features)
    labels = logits.argmax(dim=1)
    scores: dict[str, Score] = {name: of_logits(score) for name, score in LOGIT_SCORES.items()}
    fitted = {
        name: fit(name, features, logits, labels, layer=network.head) for name in FITTED_SCORES
    }
    return ScoredNetwork(network, {**scores, **fitted}, classes=CLASSES).eval()


@pytest.mark.parametrize("score", [*LOGIT_SCORES, *FITTED_SCORES])
@torch.no_grad()
def test_direct_objectives_order_images_as_the_score_does(
    classifier: ScoredNetwork, score: str
) -> None:
    rejection = rejection_objective(classifier, score)(IMAGES, ROWS)
    assert (classifier.score(score, IMAGES)[rejection.argsort()].diff() >= 0).all()
    assert len(rejection.unique()) > 150
    acceptance = acceptance_objectives(classifier, score)[0](IMAGES, ROWS)
    torch.testing.assert_close(acceptance, -rejection, rtol=0, atol=0)


@pytest.mark.parametrize("score", BY_CLASS)
@torch.no_grad()
def test_acceptance_objective_is_the_maximum_over_its_target_classes(
    classifier: ScoredNetwork, score: str
) -> None:
    first, *targeted = acceptance_objectives(classifier, score)
    assert len(targeted) == CLASSES
    each = torch.stack([objective(IMAGES, ROWS) for objective in targeted])
    torch.testing.assert_close(each.amax(dim=0), first(IMAGES, ROWS), rtol=1e-4, atol=1e-4)
    assert len(each.argmax(dim=0).unique()) > 1


@torch.no_grad()
def test_acceptance_objectives_have_target_classes_only_for_scores_by_class(
    classifier: ScoredNetwork,
) -> None:
    many = {name for name in classifier.scores if len(acceptance_objectives(classifier, name)) > 1}
    assert many == {*BY_CLASS, "gen"}


@pytest.mark.parametrize("score", [*LOGIT_SCORES, "mahalanobis"])
@torch.no_grad()
def test_surrogate_transforms_thresholds_as_scores(classifier: ScoredNetwork, score: str) -> None:
    substitute = surrogate(classifier, score)
    values = substitute.function(*classifier.features_and_outputs(IMAGES))
    scores = classifier.score(score, IMAGES).tolist()
    expected = torch.tensor([substitute.transform(value) for value in scores])
    torch.testing.assert_close(values, expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_surrogate_of_an_extreme_threshold_is_finite(
    classifier: ScoredNetwork, value: float
) -> None:
    assert math.isfinite(surrogate(classifier, "msp").transform(value))
    assert math.isfinite(surrogate(classifier, "gen").transform(value))


def test_objectives_have_a_gradient_where_the_softmax_saturates() -> None:
    network = Plain(gain=100.0)
    steep = of_logits(lambda logits: gen(logits, gamma=0.9))
    scores = {"msp": of_logits(LOGIT_SCORES["msp"]), "gen": steep}
    classifier = ScoredNetwork(network, scores, classes=CLASSES).eval()
    for score in scores:
        # The gradient of the score itself is zero or NaN for some images.
        _, naive = value_and_gradient(lambda x, _: classifier.score(score, x), IMAGES, ROWS)  # noqa: B023
        assert naive.flatten(1).nan_to_num(0).eq(0).all(dim=1).any()
        rejection = rejection_objective(classifier, score)
        for objective in (rejection, *acceptance_objectives(classifier, score)):
            value, gradient = value_and_gradient(objective, IMAGES, ROWS)
            assert value.isfinite().all()
            assert gradient.isfinite().all()
            assert (gradient.flatten(1) != 0).any(dim=1).all()


def test_wrong_and_accepted_objective_by_hand() -> None:
    # Logits 2, 1, -1 for every image: energy -log(e^2 + e + e^-1) = -2.3490.
    network = Plain(outputs=3)
    network.head.weight.data.zero_()
    network.head.bias.data = torch.tensor([2.0, 1.0, -1.0])
    scores = {"energy": of_logits(LOGIT_SCORES["energy"])}
    classifier = ScoredNetwork(network, scores, classes=3).eval()
    labels = torch.tensor([0, 1, 2])
    images = torch.zeros(3, 3, 2, 2)
    objective = wrong_and_accepted_objective(classifier, "energy", labels, threshold=-2.3)
    # The differences of logits to the best other class are -1, 1 and 3.
    expected = [-1.0, -2.3 + 2.3490, -2.3 + 2.3490]
    assert objective(images, torch.arange(3)).tolist() == pytest.approx(expected, abs=1e-3)
    # An attack may evaluate a subset of the images, in any order.
    assert objective(images[:2], torch.tensor([2, 0])).tolist() == pytest.approx(
        [expected[2], expected[0]], abs=1e-3
    )


@pytest.mark.parametrize("score", ["msp", "energy", "gen", "mahalanobis"])
@torch.no_grad()
def test_wrong_and_accepted_objective_is_positive_exactly_where_the_attack_succeeded(
    classifier: ScoredNetwork, score: str
) -> None:
    labels = torch.randint(0, CLASSES, (200,), generator=torch.Generator().manual_seed(2))
    scores = classifier.score(score, IMAGES)
    threshold = scores.median().item() + 1e-4
    predicted = classifier.features_and_logits(IMAGES)[1].argmax(dim=1)
    fooled = (predicted != labels) & ~torch.from_numpy(rejects(scores.numpy(), threshold))
    assert 20 < fooled.sum() < 180
    objective = wrong_and_accepted_objective(classifier, score, labels, threshold=threshold)
    assert torch.equal(objective(IMAGES, ROWS) > 0, fooled)


@pytest.mark.parametrize("name", DETECTORS)
def test_score_objective_attacks_a_detector_outside_the_graph(
    classifier: ScoredNetwork, name: str
) -> None:
    detector = DETECTORS[name](classifier)
    value, gradient = value_and_gradient(score_objective(detector, sign=-1), IMAGES, ROWS)
    torch.testing.assert_close(value, -detector(IMAGES).detach())
    assert (gradient.flatten(1) != 0).any(dim=1).all()


def test_wrong_and_accepted_objective_ignore_the_reject_class() -> None:
    network = Plain(outputs=CLASSES + 1)
    network.head.bias.data[-1] = 100
    scores = {"msp": of_logits(LOGIT_SCORES["msp"])}
    classifier = ScoredNetwork(network, scores, classes=CLASSES).eval()
    images = torch.rand(4, 3, 2, 2)
    labels = classifier.features_and_logits(images)[1].argmax(dim=1)
    objective = wrong_and_accepted_objective(classifier, "msp", labels, threshold=0.9)
    assert (objective(images, torch.arange(4)) < 0).all()
