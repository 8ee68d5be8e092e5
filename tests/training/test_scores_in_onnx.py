"""All scores in one graph answer in ONNX Runtime as they do in torch."""

import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray

from models.manifest import InputSpec
from models.networks.build import build_network
from models.networks.classifier import Classifier
from models.scores import FITTED_SCORES, SCORE_NAMES
from models.scores.base import Score, of_logits
from models.scores.build import unfitted_score
from models.scores.options import ScoreOptions
from training.data import ImageSet
from training.fitting import fit_scores
from training.graph import ScoredClassifier, torch_run
from training.onnx_model import to_onnx
from training.parity import onnx_run

CLASSES = ("a", "b", "c")
OPTIONS = ScoreOptions(temperature=2.0, knn_bank=40, knn_neighbour=3)
SPEC = InputSpec(height=8, width=8)


def _images(count: int, seed: int) -> ImageSet:
    """Noise around a grey that tells the class."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, count)
    noise = rng.integers(-60, 60, (count, 8, 8, 3))
    images = np.clip(noise + (64 + 64 * labels)[:, None, None, None], 0, 255).astype(np.uint8)
    return ImageSet(
        name="greys",
        images=torch.from_numpy(images),
        labels=torch.from_numpy(labels),
        classes=CLASSES,
    )


@pytest.fixture(scope="module")
def network() -> Classifier:
    """A network with a reject class that is sure enough of itself for ViM's scale."""
    torch.manual_seed(0)
    network = build_network("resnet8", len(CLASSES) + 1, width=4).eval().requires_grad_(False)
    assert isinstance(network.head, torch.nn.Linear)
    network.head.weight.mul_(30)
    return network


def _fitted(network: Classifier, training: ImageSet) -> dict[str, torch.nn.Module]:
    return fit_scores(network, training, tuple(FITTED_SCORES), options=OPTIONS, seed=1)


@pytest.fixture(scope="module")
def classifier(network: Classifier) -> ScoredClassifier:
    fitted = _fitted(network, _images(120, seed=0))
    scores: dict[str, Score] = {
        name: fitted[name] if name in fitted else of_logits(unfitted_score(name, OPTIONS))
        for name in SCORE_NAMES
    }
    return ScoredClassifier(network, scores, classes=len(CLASSES))


@pytest.fixture(scope="module")
def model(classifier: ScoredClassifier) -> bytes:
    return to_onnx(classifier, SPEC)


def _asked() -> NDArray[np.uint8]:
    return np.random.default_rng(5).integers(0, 256, (37, 8, 8, 3), np.uint8)


@pytest.mark.parametrize("batch", [1, 37])
def test_onnx_runtime_agrees_on_every_score(
    classifier: ScoredClassifier, model: bytes, batch: int
) -> None:
    images, run = _asked(), onnx_run(model)
    logits, scores = torch_run(classifier)(images)
    parts = [run(images[start : start + batch]) for start in range(0, len(images), batch)]
    assert logits.shape == (37, 3)
    np.testing.assert_allclose(np.concatenate([p[0] for p in parts]), logits, atol=1e-5)
    served = np.concatenate([p[1] for p in parts])
    for column, name in enumerate(SCORE_NAMES):
        np.testing.assert_allclose(
            served[:, column], scores[:, column], rtol=1e-5, atol=1e-5, err_msg=name
        )
        assert np.ptp(scores[:, column]) > 1e-3, name


def test_fitted_statistics_are_constants_of_the_graph(
    classifier: ScoredClassifier, model: bytes
) -> None:
    graph = onnx.load_from_string(model).graph
    assert [each.name for each in graph.input] == ["images"]
    shapes = [tuple(each.dims) for each in graph.initializer]
    bank = classifier.get_buffer("fitted.knn.bank")
    assert bank.shape == (40, 16)
    assert (40, 16) in shapes or (16, 40) in shapes


def test_a_second_fit_is_the_first_bit_for_bit(
    network: Classifier, classifier: ScoredClassifier
) -> None:
    again = _fitted(network, _images(120, seed=0))
    for name, score in again.items():
        for key, value in score.state_dict().items():
            assert torch.equal(value, classifier.get_buffer(f"fitted.{name}.{key}")), key


@pytest.mark.parametrize("name", SCORE_NAMES)
def test_every_score_can_be_climbed_in_pixels(classifier: ScoredClassifier, name: str) -> None:
    pixels = torch.from_numpy(_asked()).permute(0, 3, 1, 2).float() / 255
    pixels.requires_grad_(True)
    before = classifier.score(name, pixels)
    (gradient,) = torch.autograd.grad(before.sum(), pixels)
    assert torch.isfinite(gradient).all()
    with torch.no_grad():
        after = classifier.score(name, pixels + 1e-4 * gradient.sign())
    assert (after > before).float().mean() > 0.9
