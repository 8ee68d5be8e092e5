import torch

from oodguard.models.networks.classifier import Mirrored
from oodguard.models.networks.resnet import ResNet

IMAGES = torch.rand(3, 3, 12, 10, generator=torch.Generator().manual_seed(0))


def _network() -> ResNet:
    torch.manual_seed(0)
    return ResNet(1, 5, 4).eval()


def test_mirrored_logits_are_the_mean_over_image_and_mirror_image() -> None:
    network = _network()
    mirror_images = IMAGES[:, :, :, torch.arange(9, -1, -1)]
    expected = (network(IMAGES) + network(mirror_images)) / 2
    assert not torch.allclose(expected, network(IMAGES), atol=1e-3)
    torch.testing.assert_close(Mirrored(network)(IMAGES), expected)


def test_mirrored_features_are_means_and_the_head_is_shared() -> None:
    network = _network()
    mirrored = Mirrored(network)
    expected = (network.features(IMAGES) + network.features(IMAGES.flip(3))) / 2
    torch.testing.assert_close(mirrored.features(IMAGES), expected)
    assert mirrored.head is network.head
    assert list(mirrored.parameters()) == list(network.parameters())


def test_mirrored_calls_the_network_once() -> None:
    network, sizes = _network(), []
    network.stem.register_forward_pre_hook(lambda _, inputs: sizes.append(len(inputs[0])))
    Mirrored(network)(IMAGES)
    assert sizes == [6]


def test_mirrored_gradient_includes_the_mirror_image() -> None:
    images = IMAGES.clone().requires_grad_(True)
    network = _network()
    Mirrored(network)(images)[:, 0].sum().backward()
    plain = IMAGES.clone().requires_grad_(True)
    ((network(plain) + network(plain.flip(3))) / 2)[:, 0].sum().backward()
    torch.testing.assert_close(images.grad, plain.grad)
