"""A bundle in torch is the graph that is served, and has the gradients of the run."""

from collections.abc import Callable
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
from oodguard.training.attacks.apgd import Apgd
from oodguard.training.attacks.base import Attack
from oodguard.training.attacks.objectives import acceptance_objectives, rejection_objective
from oodguard.training.attacks.pgd import Pgd
from oodguard.training.data.dataset import to_pixels
from oodguard.training.export.onnx import to_onnx
from oodguard.training.onnx_torch.classifier import BundleClassifier, bundle_classifier
from oodguard.training.scoring.graph import ScoredClassifier, ScoredNetwork, torch_run
from oodguard.training.scoring.network import frozen
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
def test_a_bundle_that_ships_answers_as_it_is_served(name: str) -> None:
    bundle = open_bundle(ROOT / "models" / "pretrained" / name)
    _check_same(bundle, _pictures("cifar10", "textures"))


def test_bytes_that_are_no_graph_are_refused(
    make_bundle: Callable[..., Bundle], tmp_path: Path
) -> None:
    with pytest.raises(BundleError, match=r"model\.onnx is no ONNX model"):
        bundle_classifier(make_bundle(tmp_path / "tiny"))


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


def test_every_score_answers_as_it_is_served(bundle: Bundle) -> None:
    _check_same(bundle, noise())


def _gradient(classifier: ScoredClassifier, score: str, pixels: Tensor) -> Tensor:
    pixels = pixels.clone().requires_grad_(True)
    (gradient,) = torch.autograd.grad(classifier.score(score, pixels).sum(), pixels)
    return gradient


@pytest.mark.parametrize("score", SCORE_NAMES)
def test_the_gradient_is_the_runs(
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
def test_the_gradient_is_the_slope(of_bundle: BundleClassifier, score: str) -> None:
    pixels = to_pixels(torch.from_numpy(noise()))
    direction = torch.randn(pixels.shape, generator=torch.Generator().manual_seed(3))
    slope = (_gradient(of_bundle, score, pixels) * direction).sum(dim=(1, 2, 3))
    step = 1e-3
    with torch.no_grad():
        ahead, behind = (of_bundle.score(score, pixels + s * direction) for s in (step, -step))
    difference = (ahead - behind) / (2 * step)
    largest = slope.abs().max().item()
    # A few images cross a kink of some ReLU in between.
    close = (difference - slope).abs() < 0.02 * largest
    assert close.float().mean() > 0.9


def test_fractions_of_pixels_count(
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


@pytest.mark.parametrize(
    "attack",
    [
        Pgd(epsilon=8 / 255, steps=10, step_size=2 / 255),
        Apgd(epsilon=8 / 255, steps=10),
    ],
    ids=["pgd", "apgd"],
)
@pytest.mark.parametrize("score", ["msp", "gen", "energy", "mahalanobis"])
def test_an_attack_finds_on_the_bundle_what_it_finds_on_the_run(
    classifier: ScoredNetwork, of_bundle: BundleClassifier, attack: Attack, score: str
) -> None:
    pixels = to_pixels(torch.from_numpy(noise()))
    found = []
    for each in (classifier, of_bundle):
        with frozen(each):
            goal = acceptance_objectives(each, score)[0]
            attacked = attack(goal, pixels, torch.Generator().manual_seed(6))
        # Judged by the run, wherever it was found.
        with torch.no_grad():
            found.append(classifier.score(score, attacked))
    with torch.no_grad():
        gain = classifier.score(score, pixels).mean() - found[0].mean()
    assert gain > 0
    assert (found[1].mean() - found[0].mean()).abs() < 0.05 * gain


def test_scores_of_the_logits_have_a_goal_for_each_class(of_bundle: BundleClassifier) -> None:
    many = {name for name in SCORE_NAMES if len(acceptance_objectives(of_bundle, name)) > 1}
    assert many == {"msp", "max_logit", "gen"}


@pytest.mark.parametrize("score", SCORE_NAMES)
@torch.no_grad()
def test_goals_are_the_runs(
    classifier: ScoredNetwork, of_bundle: BundleClassifier, score: str
) -> None:
    pixels, rows = to_pixels(torch.from_numpy(noise())), torch.arange(37)
    both = [
        (rejection_objective(of_bundle, score), rejection_objective(classifier, score)),
        *zip(
            acceptance_objectives(of_bundle, score),
            acceptance_objectives(classifier, score),
            strict=False,
        ),
    ]
    for mine, runs in both:
        torch.testing.assert_close(mine(pixels, rows), runs(pixels, rows), rtol=1e-3, atol=1e-3)
