"""Operators with weights, or with a normalisation, that slide no window."""

import torch
from torch import Tensor
from torch.nn import functional

from training.onnx_torch.node import Node


def gemm(node: Node, a: Tensor, b: Tensor, c: Tensor | None = None) -> Tensor:
    """Return alpha A B + beta C, with A or B transposed where asked."""
    left = a.t() if node.attribute("transA", 0) else a
    right = b.t() if node.attribute("transB", 0) else b
    product: Tensor = node.attribute("alpha", 1.0) * (left @ right)
    return product if c is None else product + node.attribute("beta", 1.0) * c


def einsum(node: Node, *inputs: Tensor) -> Tensor:
    """Sum products as the equation says."""
    return torch.einsum(node.attributes["equation"], *inputs)


def batch_normalization(  # noqa: PLR0913  (as ONNX has it)
    node: Node, x: Tensor, scale: Tensor, bias: Tensor, mean: Tensor, variance: Tensor
) -> Tensor:
    """Normalise each channel by its stored mean and variance."""
    node.expect("training_mode", 0)
    return functional.batch_norm(
        x, mean, variance, scale, bias, training=False, eps=node.attribute("epsilon", 1e-5)
    )


def instance_normalization(node: Node, x: Tensor, scale: Tensor, bias: Tensor) -> Tensor:
    """Normalise each channel of each image."""
    eps = node.attribute("epsilon", 1e-5)
    return functional.instance_norm(x, weight=scale, bias=bias, eps=eps)


def layer_normalization(node: Node, x: Tensor, scale: Tensor, bias: Tensor | None = None) -> Tensor:
    """Normalise over the axes from `axis` on."""
    shape = x.shape[node.attribute("axis", -1) :]
    return functional.layer_norm(
        x,
        shape,
        scale.expand(shape),
        None if bias is None else bias.expand(shape),
        node.attribute("epsilon", 1e-5),
    )


def lrn(node: Node, x: Tensor) -> Tensor:
    """Divide each channel by what its neighbours hold; AlexNet's normalisation."""
    return functional.local_response_norm(
        x,
        node.attributes["size"],
        node.attribute("alpha", 1e-4),
        node.attribute("beta", 0.75),
        node.attribute("bias", 1.0),
    )


def softmax(node: Node, x: Tensor) -> Tensor:
    """Exponentials over their sum along one axis."""
    return torch.softmax(x, dim=node.attribute("axis", -1))


def log_softmax(node: Node, x: Tensor) -> Tensor:
    """The logarithm of `softmax`."""
    return torch.log_softmax(x, dim=node.attribute("axis", -1))
