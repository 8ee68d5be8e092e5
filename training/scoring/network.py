"""The recipe's network: build it, check it, load its trained weights, run it faster or frozen."""

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import torch
from torch import Tensor, nn

from oodguard.models.errors import RecipeError
from oodguard.models.networks import build_network
from oodguard.models.networks.classifier import Classifier, Mirrored
from oodguard.models.networks.imported import describe_exception, is_import_string
from oodguard.training.config.recipe import Recipe
from oodguard.training.run_folder import RunFolder
from oodguard.training.weights import checkpoint_part, load_weights


def build_recipe_network(recipe: Recipe, *, classes: int) -> Classifier:
    """Build the recipe's network with random weights and run it once at the recipe's size.

    It has one output per class, and one more where the method trains a reject class. A network
    given by import string runs the user's code here, not when the recipe is read.

    Raises:
        RecipeError: The network cannot be built, or its outputs do not have the shapes of a
            `Classifier`.
    """
    name = recipe.network.name
    outputs = classes + recipe.reject_classes
    size = (recipe.input.height, recipe.input.width)
    network = build_network(name, outputs, width=recipe.network.width, size=size)
    images = torch.full((2, 3, *size), 0.5)
    origin = f"network.name: {name!r} on images {_shape(images)}"
    _check_shapes(network, images, outputs, origin=origin)
    if is_import_string(name):
        _check_step(network, images, origin=origin)
    return network


@torch.no_grad()
def _check_shapes(network: Classifier, images: Tensor, outputs: int, *, origin: str) -> None:
    with frozen(network):
        with _user_code(origin):
            features = network.features(images)
        _check_shape(features, len(images), None, origin=f"{origin}: features")
        with _user_code(origin):
            logits = network.head(features)
        _check_shape(logits, len(images), outputs, origin=f"{origin}: head(features)")
        with _user_code(origin):
            called = network(images)
    if not (isinstance(called, Tensor) and torch.allclose(called, logits, atol=1e-4)):
        raise RecipeError(f"{origin}: network(images) differs from head(features(images))")


def _check_step(network: Classifier, images: Tensor, *, origin: str) -> None:
    """Run a copy of the network forwards and backwards in training mode, with its own random state.

    The gradients of an attack are those of the images.
    """
    trained = copy.deepcopy(network).train()
    images = images.clone().requires_grad_()
    with torch.random.fork_rng(devices=[]), _user_code(f"{origin}, in training"):
        torch.autograd.backward(trained(images).sum())
    if images.grad is None:
        raise RecipeError(
            f"{origin}: the outputs have no gradient, expected a differentiable network: it must"
            " not detach tensors or use NumPy"
        )


@contextmanager
def _user_code(origin: str) -> Iterator[None]:
    """Raise an exception of the network, such as torch's for too small images, as one line."""
    try:
        yield
    except Exception as error:
        raise RecipeError(f"{origin} raised {describe_exception(error)}") from error


def _check_shape(value: object, rows: int, columns: int | None, *, origin: str) -> None:
    if not (
        isinstance(value, Tensor)
        and value.ndim == 2
        and value.shape[0] == rows
        and columns in (None, value.shape[1])
    ):
        raise RecipeError(
            f"{origin}: received shape {_shape(value)}, expected ({rows}, {columns or 'D'})"
        )


def _shape(value: object) -> str:
    return str(tuple(value.shape)) if isinstance(value, Tensor) else type(value).__name__


def trained_network(run: RunFolder, *, classes: int) -> Classifier:
    """Return the averaged network of a run in float32 and evaluation mode, without gradients.

    With `network.mirror` in the recipe it is the mean over every image and its mirror image.

    Raises:
        RecipeError: The run has no checkpoint, or the checkpoint is damaged.
        CheckpointError: The checkpoint belongs to another network.
    """
    recipe = run.recipe
    network = build_recipe_network(recipe, classes=classes)
    progress = run.progress()
    load_weights(
        network,
        checkpoint_part(run.tensors(progress), "average"),
        origin=str(run.folder / progress.tensors),
    )
    if recipe.network.mirror:
        network = Mirrored(network)
    return network.eval().requires_grad_(requires_grad=False)


# In the backward pass of a strided 1x1 convolution with channels last and fewer channels than its
# block of 16, oneDNN writes past its workspace: wrong gradients, or a crash with large images
# (https://github.com/uxlfoundation/oneDNN/issues/6035).
NARROWEST_STRIDED = 16


class MixedPrecisionNetwork(nn.Module):
    """A network that runs in bfloat16 on request, and with channels last where that is safe.

    Logits are always float32.
    """

    def __init__(self, network: nn.Module, precision: Literal["bfloat16", "float32"]) -> None:
        super().__init__()
        safe = not any(_is_narrow_and_strided(module) for module in network.modules())
        self.layout = torch.channels_last if safe else torch.contiguous_format
        self.network = network.to(memory_format=self.layout)  # type: ignore[call-overload]
        self.reduced = precision == "bfloat16"

    def forward(self, images: Tensor) -> Tensor:
        """Map images `(n, 3, H, W)` in [0, 1] to float32 logits `(n, K)`."""
        images = images.contiguous(memory_format=self.layout)
        with torch.autocast(images.device.type, torch.bfloat16, enabled=self.reduced):
            logits: Tensor = self.network(images)
        return logits.float()


def _is_narrow_and_strided(module: nn.Module) -> bool:
    return (
        isinstance(module, nn.Conv2d)
        and module.kernel_size == (1, 1)
        and module.stride != (1, 1)
        and module.in_channels < NARROWEST_STRIDED
    )


@contextmanager
def frozen(network: nn.Module) -> Iterator[None]:
    """Put the network into evaluation mode without parameter gradients; restore both afterwards.

    In training mode, batch-norm would update its running statistics with the iterates of an attack.
    """
    modes = [(module, module.training) for module in network.modules()]
    trainable = [parameter for parameter in network.parameters() if parameter.requires_grad]
    network.eval()
    for parameter in trainable:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in trainable:
            parameter.requires_grad_(True)
        for module, mode in modes:  # one by one: a submodule may stay in evaluation mode
            module.training = mode
