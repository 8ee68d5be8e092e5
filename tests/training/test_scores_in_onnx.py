"""All scores in one graph answer in ONNX Runtime as they do in torch."""

import numpy as np
import onnx
import pytest
import torch

from oodguard.models.networks.classifier import Classifier
from oodguard.models.scores import SCORE_NAMES
from oodguard.training.export.onnx import to_onnx
from oodguard.training.scoring.graph import ScoredNetwork, torch_run
from oodguard.training.scoring.parity import onnx_run
from tests.training.all_scores import SPEC, fitted_scores, noise, sure_network, with_all_scores


@pytest.fixture(scope="module")
def network() -> Classifier:
    return sure_network()


@pytest.fixture(scope="module")
def classifier(network: Classifier) -> ScoredNetwork:
    return with_all_scores(network)


@pytest.fixture(scope="module")
def model(classifier: ScoredNetwork) -> bytes:
    return to_onnx(classifier, SPEC)


@pytest.mark.parametrize("batch", [1, 37])
def test_onnx_runtime_agrees_on_every_score(
    classifier: ScoredNetwork, model: bytes, batch: int
) -> None:
    images, run = noise(), onnx_run(model)
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
    classifier: ScoredNetwork, model: bytes
) -> None:
    graph = onnx.load_from_string(model).graph
    assert [each.name for each in graph.input] == ["images"]
    shapes = [tuple(each.dims) for each in graph.initializer]
    bank = classifier.get_buffer("fitted.knn.bank")
    assert bank.shape == (40, 16)
    assert (40, 16) in shapes or (16, 40) in shapes


def test_a_second_fit_is_the_first_bit_for_bit(
    network: Classifier, classifier: ScoredNetwork
) -> None:
    again = fitted_scores(network)
    for name, score in again.items():
        for key, value in score.state_dict().items():
            assert torch.equal(value, classifier.get_buffer(f"fitted.{name}.{key}")), key


@pytest.mark.parametrize("name", SCORE_NAMES)
def test_every_score_can_be_climbed_in_pixels(classifier: ScoredNetwork, name: str) -> None:
    pixels = torch.from_numpy(noise()).permute(0, 3, 1, 2).float() / 255
    pixels.requires_grad_(True)
    before = classifier.score(name, pixels)
    (gradient,) = torch.autograd.grad(before.sum(), pixels)
    assert torch.isfinite(gradient).all()
    with torch.no_grad():
        after = classifier.score(name, pixels + 1e-4 * gradient.sign())
    assert (after > before).float().mean() > 0.9
