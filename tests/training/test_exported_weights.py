"""Shipped bundles, whose graphs have no batch-norm layers, as initial weights."""

import hashlib
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from oodguard.models.bundle import open_bundle
from oodguard.models.errors import CheckpointError
from oodguard.models.networks import build_network
from oodguard.models.networks.classifier import Classifier, Mirrored
from oodguard.training.data.dataset import ImageSet
from oodguard.training.data.training_data import TrainingData
from oodguard.training.exported_weights import set_statistics, unfold
from oodguard.training.fit.trainer import Trainer
from oodguard.training.scoring.parity import onnx_run
from oodguard.training.weights import read_initial_weights
from tests.training.recipes import RECIPE, parsed

BUNDLES = Path(__file__).parents[2] / "models" / "pretrained"
IMAGES = torch.randint(
    256, (30, 32, 32, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
)
PIXELS = IMAGES.permute(0, 3, 1, 2) / 255


def _network(outputs: int) -> Classifier:
    return build_network("resnet14", outputs, width=32)


@pytest.mark.parametrize(("name", "mirror"), [("cifar10-standard", False), ("cifar10-aloe", True)])
@torch.no_grad()
def test_weights_of_a_bundle_give_its_logits_with_the_statistics_of_the_images(
    name: str, *, mirror: bool
) -> None:
    network = _network(11 if mirror else 10)
    start = read_initial_weights(BUNDLES / name)
    assert start.load_into(network, PIXELS) == []
    assert network.training
    served = Mirrored(network).eval() if mirror else network.eval()
    expected, _ = onnx_run(open_bundle(BUNDLES / name).model)(IMAGES.numpy())
    torch.testing.assert_close(
        served(PIXELS)[:, :10], torch.from_numpy(expected), atol=1e-4, rtol=1e-4
    )
    stem, norm = (network.get_submodule(f"stem.{index}") for index in (1, 2))
    assert isinstance(norm, nn.BatchNorm2d)
    assert isinstance(norm.running_var, Tensor)
    outputs = stem((PIXELS - 0.5) * 4)
    torch.testing.assert_close(norm.running_mean, outputs.mean((0, 2, 3)), atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(norm.running_var, outputs.var((0, 2, 3), correction=0))
    assert isinstance(stem, nn.Conv2d)
    norms = stem.weight.flatten(1).norm(dim=1)
    torch.testing.assert_close(norms, torch.full((32,), (2 * 3 / 32) ** 0.5))


def test_origin_of_the_weights_of_a_bundle_is_its_graph() -> None:
    origin = read_initial_weights(BUNDLES / "cifar10-aloe").origin
    content = (BUNDLES / "cifar10-aloe" / "model.onnx").read_bytes()
    assert origin.name == "cifar10-aloe/model.onnx"
    assert origin.sha256 == hashlib.sha256(content).hexdigest()


def test_filters_of_zeros_stay_finite() -> None:
    network = nn.Sequential(nn.Conv2d(3, 2, 1), nn.BatchNorm2d(2)).eval()
    with torch.no_grad():
        for parameter in network[0].parameters():
            parameter[0] = 0
    before = network(PIXELS)
    set_statistics(network, {"1"}, PIXELS)
    torch.testing.assert_close(network(PIXELS), before, atol=1e-4, rtol=1e-4)


def test_batch_norm_layers_that_the_graph_has_are_not_replaced() -> None:
    network = nn.Sequential(nn.Conv2d(3, 2, 1), nn.BatchNorm2d(2))
    tensors = network.state_dict()
    in_graph = {k: t for k, t in tensors.items() if not k.endswith("num_batches_tracked")}
    assert unfold(network, in_graph, PIXELS[:2]) == (tensors, set())


def test_bundle_of_another_network_or_in_int8_is_an_error() -> None:
    with pytest.raises(CheckpointError, match=r"head\.weight \(11x128, expected 10x128\)"):
        read_initial_weights(BUNDLES / "cifar10-aloe").load_into(_network(10), PIXELS)
    with pytest.raises(CheckpointError, match="precision of the bundle is int8, expected float32"):
        read_initial_weights(BUNDLES / "cifar10-aloe-int8")
    with pytest.raises(CheckpointError, match=r"network\.weights is the bundle .* --from BUNDLE"):
        read_initial_weights(BUNDLES / "cifar10-aloe", pretrained=True)


def test_trainer_starts_both_networks_from_a_bundle() -> None:
    images = ImageSet(
        name="noise",
        images=IMAGES,
        labels=torch.arange(30) % 10,
        classes=tuple("abcdefghij"),
    )
    recipe = parsed(RECIPE.replace('"resnet8"\nwidth = 4', '"resnet14"\nwidth = 32'))
    trainer = Trainer(recipe, TrainingData(training=images, validation=images, outliers=images))
    trainer.start_from(read_initial_weights(BUNDLES / "cifar10-standard"))
    assert all(
        torch.equal(tensor, trainer.average.state_dict()[name])
        for name, tensor in trainer.network.state_dict().items()
    )
    run, _ = onnx_run(open_bundle(BUNDLES / "cifar10-standard").model)(IMAGES.numpy())
    with torch.no_grad():
        found = trainer.average(PIXELS)
    torch.testing.assert_close(found, torch.from_numpy(run), atol=1e-4, rtol=1e-4)
