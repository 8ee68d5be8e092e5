"""A recipe's network, tried once before hours are spent on it."""

import torch
from torch import Tensor

from models.errors import RecipeError
from models.networks.build import build_network
from models.networks.classifier import Classifier
from training.attacks.gradient import frozen
from training.recipe import Recipe


def network_of(recipe: Recipe, *, classes: int) -> Classifier:
    """Build the recipe's network with random weights and see that it works at the recipe's size.

    It has one output for every class, and one more where the method trains a reject class. A
    network by import string runs the user's code here, not where the recipe is read.

    Raises:
        RecipeError: it cannot be built, or does not give what a `Classifier` gives.
    """
    name = recipe.network.name
    outputs = classes + recipe.reject_classes
    network = build_network(name, outputs, width=recipe.network.width)
    images = torch.full((2, 3, recipe.input.height, recipe.input.width), 0.5)
    _probe(network, images, outputs, origin=f"network.name: {name!r} on images {_shape(images)}")
    return network


@torch.no_grad()
def _probe(network: Classifier, images: Tensor, outputs: int, *, origin: str) -> None:
    with frozen(network):
        try:
            features = network.features(images)
            _want(features, len(images), None, origin=f"{origin}: features")
            logits = network.head(features)
            _want(logits, len(images), outputs, origin=f"{origin}: head(features)")
            whole = network(images)
        except RuntimeError as error:  # torch's own, such as an image smaller than a kernel
            raise RecipeError(f"{origin}: {error}") from error
    if not (isinstance(whole, Tensor) and torch.allclose(whole, logits, atol=1e-4)):
        raise RecipeError(f"{origin}: the call of the network differs from head(features(images))")


def _want(value: object, rows: int, columns: int | None, *, origin: str) -> None:
    if not (
        isinstance(value, Tensor)
        and value.ndim == 2
        and value.shape[0] == rows
        and columns in (None, value.shape[1])
    ):
        raise RecipeError(f"{origin}: came {_shape(value)}, wanted ({rows}, {columns or 'D'})")


def _shape(value: object) -> str:
    return str(tuple(value.shape)) if isinstance(value, Tensor) else type(value).__name__
