"""Read the weights in the graph of a bundle back into the network that it was exported from.

The exporter folds a batch-norm layer that follows a convolution W into it. With the running mean u
and variance v of the layer, its factor g and bias h, and s = sqrt(v + eps), the graph has the
weights g W / s and the bias h - g u / s. The parameters cannot be recovered from these, but all
that give the same weights and bias are the same network in evaluation mode. In training mode
batch-norm uses the statistics of the batch; u and v must then be those of the images.
"""

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import onnx
import torch
from onnx import numpy_helper
from torch import Tensor, nn

FOLDED_BIAS = ".weight_bias"
"""The end of the exporter's name for the bias of a convolution with a folded batch-norm layer."""

WRAPPER = "network."
"""The beginning of the names in a graph; of a network with the mirror mean, of most twice."""


def graph_tensors(model: bytes) -> dict[str, Tensor]:
    """Return the weights of an exported graph, by their names in the network that was exported."""
    return {
        each.name.removeprefix(WRAPPER): torch.from_numpy(numpy_helper.to_array(each).copy())
        for each in onnx.load_model_from_string(model).graph.initializer
        if each.name.startswith(WRAPPER)
    }


def unfold(
    network: nn.Module, tensors: Mapping[str, Tensor], images: Tensor
) -> tuple[dict[str, Tensor], set[str]]:
    """Return the tensors with an identity in place of each batch-norm layer that was folded.

    `images` `(n, 3, H, W)` in [0, 1] are run through the network to find these layers, whose names
    are returned too.
    """
    modules, folded = dict(network.named_modules()), set()
    unfolded = {
        name if name.rpartition(".")[0] in modules else name.removeprefix(WRAPPER): tensor
        for name, tensor in tensors.items()
    }
    for pair in _followed_convolutions(network, images):
        if f"{pair.norm_name}.weight" in unfolded:
            continue  # the graph has the layer itself
        folded.add(pair.norm_name)
        ones, zeros = torch.ones_like(pair.mean), torch.zeros_like(pair.mean)
        unfolded |= {
            f"{pair.norm_name}.weight": ones,
            f"{pair.norm_name}.bias": unfolded.pop(f"{pair.name}{FOLDED_BIAS}", zeros),
            f"{pair.norm_name}.running_mean": zeros,
            f"{pair.norm_name}.running_var": ones - pair.norm.eps,
        }
    stored = network.state_dict()
    counts = [name for name in stored if name.endswith("num_batches_tracked")]
    constants = {name for name, _ in network.named_buffers()} - stored.keys()
    unfolded |= dict.fromkeys(counts, torch.tensor(0))  # not a part of the graph
    return {name: t for name, t in unfolded.items() if name not in constants}, folded


@torch.no_grad()
def set_statistics(network: nn.Module, folded: Collection[str], images: Tensor) -> None:
    """Set the statistics of the batch-norm layers `folded` to those of images, in place.

    The output of the convolution before each of them must have no other use. The network in
    evaluation mode remains the same function. Each filter is scaled to its expected norm at
    initialization, sqrt(2 inputs / outputs), because the effect of a learning rate depends on the
    size of the weights before batch-norm.

    `images` are `(n, 3, H, W)` in [0, 1].
    """
    for pair in _followed_convolutions(network, images):
        norm, weight = pair.norm, pair.convolution.weight
        mean, spread = norm.running_mean, norm.running_var
        if pair.norm_name not in folded or mean is None or spread is None:
            continue
        outputs, inputs = weight.shape[:2]
        size = weight.flatten(1).norm(dim=1)
        scale = torch.where(size > 0, size / math.sqrt(2 * inputs / outputs), 1.0)
        factor = norm.weight / (spread + norm.eps).sqrt()
        norm.bias.add_(factor * (pair.mean - mean))
        mean.copy_(pair.mean / scale)
        spread.copy_(pair.variance / scale**2)
        norm.weight.copy_(factor * scale * (spread + norm.eps).sqrt())
        weight /= scale.view(-1, 1, 1, 1)
        if pair.convolution.bias is not None:
            pair.convolution.bias /= scale


@dataclass(frozen=True, kw_only=True, slots=True)
class _FollowedConvolution:
    """A convolution and the batch-norm layer on its output, whose statistics are `(C,)`."""

    name: str
    convolution: nn.Conv2d
    norm_name: str
    norm: nn.BatchNorm2d
    mean: Tensor
    variance: Tensor


@torch.no_grad()
def _followed_convolutions(network: nn.Module, images: Tensor) -> list[_FollowedConvolution]:
    """Return the convolutions whose output a batch-norm layer normalizes, in order of execution."""
    outputs: dict[int, tuple[str, nn.Conv2d, Tensor]] = {}  # a live tensor's id is unique
    found: list[_FollowedConvolution] = []

    def after_convolution(name: str, module: nn.Conv2d, output: Tensor) -> None:
        outputs[id(output)] = name, module, output

    def before_norm(name: str, module: nn.BatchNorm2d, values: Tensor) -> None:
        if id(values) in outputs:
            convolution_name, convolution, _ = outputs[id(values)]
            variance, mean = torch.var_mean(values, dim=(0, 2, 3), correction=0)
            found.append(
                _FollowedConvolution(
                    name=convolution_name,
                    convolution=convolution,
                    norm_name=name,
                    norm=module,
                    mean=mean,
                    variance=variance,
                )
            )

    hooks = []
    for name, module in network.named_modules():
        if isinstance(module, nn.Conv2d):
            hooks.append(
                module.register_forward_hook(
                    lambda layer, _, output, name=name: after_convolution(name, layer, output)
                )
            )
        elif isinstance(module, nn.BatchNorm2d):
            hooks.append(
                module.register_forward_pre_hook(
                    lambda layer, inputs, name=name: before_norm(name, layer, inputs[0])
                )
            )
    training = network.training
    try:
        network.eval()(images)
    finally:
        network.train(training)
        for hook in hooks:
            hook.remove()
    return found
