"""Every architecture, exported and run by torch, has the same scores and gradients."""

import numpy as np
import onnx
import pytest
import torch

from oodguard.models.manifest import InputSpec
from oodguard.models.networks import FIXED_NETWORKS, build_network
from oodguard.models.networks.classifier import Classifier, Mirrored
from oodguard.models.scores.base import of_logits
from oodguard.models.scores.logit_scores import energy
from oodguard.training.data.dataset import to_pixels
from oodguard.training.export.onnx import to_onnx
from oodguard.training.onnx_torch.classifier import BundleClassifier
from oodguard.training.onnx_torch.module import OnnxModule
from oodguard.training.scoring.graph import ScoredNetwork


def _check(network: Classifier, *, size: int) -> None:
    network = network.eval().requires_grad_(False)
    mine = ScoredNetwork(network, {"energy": of_logits(energy)}, classes=3)
    model = onnx.load_model_from_string(to_onnx(mine, InputSpec(height=size, width=size)))
    read = BundleClassifier(OnnxModule(model, outputs=("logits", "scores")), ["energy"], classes=3)
    images = np.random.default_rng(1).integers(0, 256, (5, size, size, 3), np.uint8)
    pixels = to_pixels(torch.from_numpy(images)).requires_grad_(True)
    gradients = []
    for each in (mine, read):
        score = each.score("energy", pixels)
        gradients.append(torch.autograd.grad(score.sum(), pixels)[0])
        torch.testing.assert_close(score, mine.score("energy", pixels), rtol=1e-4, atol=1e-4)
    scale = gradients[0].abs().max().item()
    torch.testing.assert_close(gradients[1], gradients[0], rtol=1e-3, atol=1e-3 * scale)


def test_onnx_module_runs_a_mirrored_network() -> None:
    torch.manual_seed(0)
    _check(Mirrored(build_network("resnet8", 3, width=4)), size=8)


@pytest.mark.slow
@pytest.mark.parametrize("name", FIXED_NETWORKS)
def test_onnx_module_runs_every_fixed_network(name: str) -> None:
    torch.manual_seed(0)
    _check(build_network(name, 3, width=None), size=16)
