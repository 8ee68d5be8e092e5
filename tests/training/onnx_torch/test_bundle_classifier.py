"""A bundle in torch: the scores that are served, and the gradients of the run."""

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from oodguard.models.bundle import Bundle, open_bundle
from oodguard.models.errors import BundleError
from oodguard.models.scores import SCORE_NAMES
from oodguard.training.attacks.base import value_and_gradient
from oodguard.training.attacks.objectives import acceptance_objectives, rejection_objective
from oodguard.training.data.dataset import to_pixels
from oodguard.training.export.onnx import to_onnx
from oodguard.training.onnx_torch.classifier import (
    BundleClassifier,
    IndependentConcat,
    bundle_classifier,
)
from oodguard.training.scoring.graph import ScoredClassifier, ScoredNetwork, torch_run
from oodguard.training.scoring.parity import onnx_run
from tests.conftest import build_bundle
from tests.training.scoring.all_scores import (
    CLASSES,
    SPEC,
    confident_network,
    noise,
    with_all_scores,
)

ROOT = Path(__file__).parents[3]
PICTURES = ROOT / "tests" / "data"


def _pictures(*folders: str) -> NDArray[np.uint8]:
    paths = [path for each in folders for path in sorted((PICTURES / each).rglob("*.png"))]
    return np.stack([np.asarray(Image.open(path).convert("RGB")) for path in paths])


def _check_same(bundle: Bundle, images: NDArray[np.uint8]) -> None:
    logits, scores = torch_run(bundle_classifier(bundle))(images)
    served_logits, served_scores = onnx_run(bundle.model)(images)
    np.testing.assert_allclose(logits, served_logits, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(scores, served_scores, rtol=1e-4, atol=1e-4)
    assert (logits.argmax(axis=1) == served_logits.argmax(axis=1)).all()
    assert scores.dtype == np.float32


@pytest.mark.parametrize("name", ["cifar10-aloe", "cifar10-standard"])
def test_bundle_classifier_of_a_shipped_bundle_equals_onnx_runtime(name: str) -> None:
    bundle = open_bundle(ROOT / "models" / "pretrained" / name)
    _check_same(bundle, _pictures("cifar10", "textures"))


def test_bundle_classifier_rejects_bytes_that_are_not_a_graph(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"model\.onnx: invalid ONNX model"):
        bundle_classifier(build_bundle(tmp_path / "tiny"))


@pytest.fixture(scope="module")
def classifier() -> ScoredNetwork:
    return with_all_scores(confident_network())


@pytest.fixture(scope="module")
def bundle(classifier: ScoredNetwork, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return build_bundle(
        tmp_path_factory.mktemp("bundle") / "tiny",
        scores=SCORE_NAMES,
        classes=CLASSES,
        height=SPEC.height,
        width=SPEC.width,
        model=to_onnx(classifier, SPEC),
    )


@pytest.fixture(scope="module")
def of_bundle(bundle: Bundle) -> BundleClassifier:
    return bundle_classifier(bundle)


def test_bundle_classifier_equals_onnx_runtime_on_every_score(bundle: Bundle) -> None:
    _check_same(bundle, noise())


def _gradient(classifier: ScoredClassifier, score: str, pixels: Tensor) -> Tensor:
    pixels = pixels.clone().requires_grad_(True)
    (gradient,) = torch.autograd.grad(classifier.score(score, pixels).sum(), pixels)
    return gradient


@pytest.mark.parametrize("score", SCORE_NAMES)
def test_bundle_classifier_has_the_gradients_of_the_run(
    classifier: ScoredNetwork, of_bundle: BundleClassifier, score: str
) -> None:
    pixels = to_pixels(torch.from_numpy(noise()))
    expected = _gradient(classifier, score, pixels)
    scale = expected.abs().max().item()
    assert scale > 0
    torch.testing.assert_close(
        _gradient(of_bundle, score, pixels), expected, rtol=1e-3, atol=1e-4 * scale
    )


@pytest.mark.parametrize("score", ["energy", "msp", "gen"])
def test_bundle_classifier_gradients_equal_finite_differences(
    of_bundle: BundleClassifier, score: str
) -> None:
    pixels = to_pixels(torch.from_numpy(noise()))
    direction = torch.randn(pixels.shape, generator=torch.Generator().manual_seed(3))
    slope = (_gradient(of_bundle, score, pixels) * direction).sum(dim=(1, 2, 3))
    step = 1e-3
    with torch.no_grad():
        ahead, behind = (of_bundle.score(score, pixels + s * direction) for s in (step, -step))
    difference = (ahead - behind) / (2 * step)
    largest = slope.abs().max().item()
    # A few images cross the kink of a ReLU in between.
    close = (difference - slope).abs() < 0.02 * largest
    assert close.float().mean() > 0.9


def test_bundle_classifier_uses_fractions_of_pixels(
    of_bundle: BundleClassifier, classifier: ScoredClassifier
) -> None:
    pixels = torch.rand(9, 3, 8, 8, generator=torch.Generator().manual_seed(4))
    with torch.no_grad():
        features, logits = of_bundle.features_and_logits(pixels)
        torch.testing.assert_close(
            logits, classifier.features_and_logits(pixels)[1], rtol=1e-4, atol=1e-4
        )
    assert features.shape == (9, len(SCORE_NAMES))
    assert torch.equal(of_bundle.score_from_outputs("energy", features, logits), features[:, 2])


def test_bundle_classifier_has_targeted_objectives_for_scores_of_logits(
    of_bundle: BundleClassifier,
) -> None:
    many = {name for name in SCORE_NAMES if len(acceptance_objectives(of_bundle, name)) > 1}
    assert many == {"msp", "max_logit", "gen"}


@pytest.mark.parametrize("score", SCORE_NAMES)
def test_attack_objectives_of_the_bundle_equal_those_of_the_run(
    classifier: ScoredNetwork, of_bundle: BundleClassifier, score: str
) -> None:
    """Equal values and gradients, so that an attack on the bundle is as strong."""
    pixels, rows = to_pixels(torch.from_numpy(noise())), torch.arange(37)
    objectives = (
        (rejection_objective(each, score), *acceptance_objectives(each, score))
        for each in (of_bundle, classifier)
    )
    for found, expected in zip(*objectives, strict=False):
        value, gradient = value_and_gradient(found, pixels, rows)
        expected_value, expected_gradient = value_and_gradient(expected, pixels, rows)
        torch.testing.assert_close(value, expected_value, rtol=1e-3, atol=1e-3)
        scale = expected_gradient.abs().max().item()
        assert scale > 0
        torch.testing.assert_close(gradient, expected_gradient, rtol=1e-3, atol=1e-3 * scale)


def test_independent_concat_isolates_an_infinite_derivative() -> None:
    x = torch.zeros(2, 1, requires_grad=True)
    root, line = x.sqrt(), 3 * x
    (plain,) = torch.autograd.grad(torch.cat([root, line], dim=1)[:, 1].sum(), x, retain_graph=True)
    assert plain.isnan().all()
    joined = IndependentConcat.apply(root, line)  # type: ignore[no-untyped-call]
    (independent,) = torch.autograd.grad(joined[:, 1].sum(), x)
    assert independent.tolist() == [[3], [3]]


def test_independent_concat_joins_columns_and_adds_their_gradients() -> None:
    x = torch.tensor([[2.0]], requires_grad=True)
    joined = IndependentConcat.apply(x.square(), 3 * x, x - 2)  # type: ignore[no-untyped-call]
    assert joined.tolist() == [[4, 6, 0]]
    (gradient,) = torch.autograd.grad(joined[:, 0].sum() - 2 * joined[:, 1].sum(), x)
    assert gradient.item() == 2 * 2 - 2 * 3
