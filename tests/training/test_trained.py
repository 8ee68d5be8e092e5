"""What a finished run is evaluated and exported as."""

import math
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from oodguard.models.manifest import InputSpec
from oodguard.models.networks.build import build_network
from oodguard.models.scores.base import of_logits
from oodguard.models.scores.energy import energy
from oodguard.training.export.onnx import to_onnx
from oodguard.training.run_folder import RunFolder, RunProgress
from oodguard.training.scoring.graph import ScoredNetwork, torch_run
from oodguard.training.scoring.network import trained_network
from oodguard.training.scoring.parity import check_parity, onnx_run

PROGRESS = RunProgress(
    tensors="epoch-001.safetensors",
    epochs=(),
    hardware="a machine",
    command="a command",
    libraries={},
    training_images=1,
    outlier_images=0,
)


def _run(folder: Path, recipe_text: str) -> RunFolder:
    torch.manual_seed(0)
    network = build_network("resnet8", 3, width=4)
    run = RunFolder.create(folder, recipe_text)
    run.save(PROGRESS, {f"average.{key}": t for key, t in network.state_dict().items()})
    return run


def _mirror(recipe_text: str) -> str:
    return recipe_text.replace("width = 4", "width = 4\nmirror = true")


def test_a_run_is_its_network_unless_the_recipe_says_mirror(
    tmp_path: Path, recipe_text: str
) -> None:
    plain = trained_network(_run(tmp_path / "plain", recipe_text), classes=3)
    mirrored = trained_network(_run(tmp_path / "mirror", _mirror(recipe_text)), classes=3)
    images = torch.rand(2, 3, 16, 16)
    wanted = (plain(images) + plain(images.flip(3))) / 2
    assert not torch.allclose(wanted, plain(images), atol=1e-3)
    torch.testing.assert_close(mirrored(images), wanted)
    assert not mirrored.training
    assert not any(parameter.requires_grad for parameter in mirrored.parameters())


def test_the_mirrored_graph_agrees_in_every_batch_size_and_holds_the_weights_once(
    tmp_path: Path, recipe_text: str
) -> None:
    spec = InputSpec(height=12, width=10)
    images = np.random.default_rng(0).integers(0, 256, (70, 12, 10, 3), np.uint8)
    limits = np.array([10.0])
    network = trained_network(_run(tmp_path, _mirror(recipe_text)), classes=3)
    classifier = ScoredNetwork(network, {"energy": of_logits(energy)}, classes=3)
    model = to_onnx(classifier, spec)
    check_parity(torch_run(classifier), onnx_run(model), images, limits)
    constants = sum(math.prod(c.dims) for c in onnx.load_from_string(model).graph.initializer)
    weights = sum(p.numel() for p in network.parameters())
    assert constants == pytest.approx(weights, rel=0.2)  # and some shapes and statistics
    logits, _ = onnx_run(model)(images)
    turned, _ = onnx_run(model)(images[:, :, ::-1].copy())
    np.testing.assert_allclose(logits, turned, atol=1e-5)


def test_a_recipe_names_its_network_in_words(tmp_path: Path, recipe_text: str) -> None:
    plain = RunFolder.create(tmp_path / "plain", recipe_text).recipe.network
    mirrored = RunFolder.create(tmp_path / "mirror", _mirror(recipe_text)).recipe.network
    assert str(plain) == "resnet8, width 4"
    assert str(mirrored) == "resnet8, width 4, mean over the mirror image"
