"""The distances are those of scikit-learn, the score is its regression, and an attack works."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sklearn.covariance import EmpiricalCovariance
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from torch import Tensor

from benchmarks.layered_mahalanobis import (
    LayeredMahalanobis,
    fit_layered_mahalanobis,
    layer_features,
)
from oodguard.models.networks.resnet import ResNet
from oodguard.training.attacks.objectives import score_objective
from oodguard.training.attacks.pgd import Pgd
from oodguard.training.data.dataset import ImageSet, to_pixels

CLASSES, WIDTH = 3, 4


def uint8_images(count: int, seed: int, *, low: int = 0, high: int = 256) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(low, high, (count, 8, 8, 3), dtype=torch.uint8, generator=generator)


def _features(network: ResNet, images: Tensor) -> list[NDArray[np.float64]]:
    with torch.no_grad():
        return [each.double().numpy() for each in layer_features(network, to_pixels(images))]


TRAINING = ImageSet(
    name="training",
    images=uint8_images(150, 1),
    labels=torch.arange(150) % CLASSES,
    classes=("a", "b", "c"),
)
HELD_OUT, OUTLIERS = uint8_images(60, 2), uint8_images(40, 3, low=60, high=190)


@pytest.fixture(scope="module")
def network() -> ResNet:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(6)  # no unit is dead: its variance would be raised to the floor
        built = ResNet(2, CLASSES, WIDTH)
    return built.eval().requires_grad_(requires_grad=False)


@pytest.fixture(scope="module")
def detector(network: ResNet) -> LayeredMahalanobis:
    return fit_layered_mahalanobis(network, TRAINING, HELD_OUT, OUTLIERS)


def _expected_distances(network: ResNet, images: Tensor) -> NDArray[np.float64]:
    labels = TRAINING.labels.numpy()
    columns = []
    seen = _features(network, TRAINING.images[:])
    for training, features in zip(seen, _features(network, images), strict=True):
        means = np.stack([training[labels == k].mean(axis=0) for k in range(CLASSES)])
        covariance = EmpiricalCovariance(assume_centered=True).fit(training - means[labels])
        distances = [covariance.mahalanobis(features - mean) for mean in means]
        columns.append(np.min(distances, axis=0))
    return np.stack(columns, axis=1)


def test_layers_are_the_stem_and_the_stages(network: ResNet) -> None:
    pixels = to_pixels(HELD_OUT)
    found = layer_features(network, pixels)
    assert [each.shape[1] for each in found] == [WIDTH, WIDTH, 2 * WIDTH, 4 * WIDTH]
    torch.testing.assert_close(found[-1], network.features(pixels))
    torch.testing.assert_close(found[0], network.stem(pixels).mean(dim=(2, 3)))


def test_layered_mahalanobis_is_the_regression_of_scikit_learn(
    network: ResNet, detector: LayeredMahalanobis
) -> None:
    inside, outside = (_expected_distances(network, images) for images in (HELD_OUT, OUTLIERS))
    pixels = to_pixels(HELD_OUT)
    for column, layer in enumerate(detector.layers):
        features = layer_features(network, pixels)[column]
        np.testing.assert_allclose(layer(features, features), inside[:, column], rtol=1e-3)
    scaler = StandardScaler().fit(np.concatenate([inside, outside]))
    labels = [0] * len(inside) + [1] * len(outside)
    regression = LogisticRegression().fit(
        scaler.transform(np.concatenate([inside, outside])), labels
    )
    expected = regression.decision_function(scaler.transform(outside))
    np.testing.assert_allclose(detector(to_pixels(OUTLIERS)), expected, atol=0.02)
    assert detector(to_pixels(OUTLIERS)).mean() > detector(pixels).mean()


@pytest.mark.parametrize("sign", [1, -1])
def test_attack_moves_the_layered_score_in_both_directions(
    detector: LayeredMahalanobis, sign: int
) -> None:
    pixels = to_pixels(OUTLIERS)
    objective = score_objective(detector, sign=1 if sign == 1 else -1)
    attack = Pgd(epsilon=2 / 255, steps=5, step_size=1 / 255)
    moved = attack(objective, pixels, torch.Generator().manual_seed(0))
    assert (sign * (detector(moved) - detector(pixels)) > 0).all()
