"""Every score in an exported graph: ONNX Runtime, constants, gradients, mirrored networks."""

import math
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from oodguard.models.manifest import InputSpec
from oodguard.models.networks.classifier import Classifier
from oodguard.models.scores import SCORE_NAMES
from oodguard.models.scores.base import of_logits
from oodguard.models.scores.logit_scores import energy
from oodguard.training.export.onnx import to_onnx
from oodguard.training.scoring.graph import ScoredNetwork, torch_run
from oodguard.training.scoring.network import trained_network
from oodguard.training.scoring.parity import check_parity, onnx_run
from tests.training.recipes import RECIPE
from tests.training.runs import save_run
from tests.training.scoring.all_scores import (
    SPEC,
    confident_network,
    noise,
    with_all_scores,
)


@pytest.fixture(scope="module")
def network() -> Classifier:
    return confident_network()


@pytest.fixture(scope="module")
def classifier(network: Classifier) -> ScoredNetwork:
    return with_all_scores(network)


@pytest.fixture(scope="module")
def model(classifier: ScoredNetwork) -> bytes:
    return to_onnx(classifier, SPEC)


@pytest.mark.parametrize("batch", [1, 37])
def test_export_agrees_with_torch_on_every_score(
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


def test_export_stores_fitted_statistics_as_constants(
    classifier: ScoredNetwork, model: bytes
) -> None:
    graph = onnx.load_from_string(model).graph
    assert [each.name for each in graph.input] == ["images"]
    shapes = [tuple(each.dims) for each in graph.initializer]
    bank = classifier.get_buffer("fitted.knn.bank")
    assert bank.shape == (40, 16)
    assert (40, 16) in shapes or (16, 40) in shapes


def test_fit_scores_is_reproducible_bit_for_bit(
    network: Classifier, classifier: ScoredNetwork
) -> None:
    for key, value in with_all_scores(network).state_dict().items():
        assert torch.equal(value, classifier.state_dict()[key]), key


@pytest.mark.parametrize("name", SCORE_NAMES)
def test_every_score_has_a_useful_gradient_in_pixels(classifier: ScoredNetwork, name: str) -> None:
    pixels = torch.from_numpy(noise()).permute(0, 3, 1, 2).float() / 255
    pixels.requires_grad_(True)
    before = classifier.score(name, pixels)
    (gradient,) = torch.autograd.grad(before.sum(), pixels)
    assert torch.isfinite(gradient).all()
    with torch.no_grad():
        after = classifier.score(name, pixels + 1e-4 * gradient.sign())
    assert (after > before).float().mean() > 0.9


def test_export_of_a_mirrored_network_stores_the_weights_once(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (70, 12, 10, 3), np.uint8)
    mirror = RECIPE.replace("width = 4", "width = 4\nmirror = true")
    network = trained_network(save_run(tmp_path, mirror), classes=3)
    classifier = ScoredNetwork(network, {"energy": of_logits(energy)}, classes=3)
    model = to_onnx(classifier, InputSpec(height=12, width=10))
    check_parity(torch_run(classifier), onnx_run(model), images, np.array([10.0]))
    constants = sum(math.prod(c.dims) for c in onnx.load_from_string(model).graph.initializer)
    weights = sum(p.numel() for p in network.parameters())
    assert constants == pytest.approx(weights, rel=0.2)  # and some shapes and statistics
    logits, _ = onnx_run(model)(images)
    mirrored, _ = onnx_run(model)(images[:, :, ::-1].copy())
    np.testing.assert_allclose(logits, mirrored, atol=1e-5)
