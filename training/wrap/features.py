"""Find the features of a classifier: the input of its last linear layer."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch import nn

from oodguard.models.errors import ClassifierError
from oodguard.training.wrap.classifier import OriginalClassifier

Values = NDArray[np.float32]
AUTO = "auto"
MAX_FEATURES = 8192
"""The largest number of features; the covariance of more takes minutes to decompose."""

FLOAT_LINEAR = {"Conv", "Gemm", "MatMul"}
MEAN_AXES = {3: (1,), 4: (2, 3)}
"""The axes of features that are averaged: tokens, or height and width."""

LINEAR = FLOAT_LINEAR | {
    "FusedConv",
    "FusedGemm",
    "FusedMatMul",
    "ConvInteger",
    "MatMulInteger",
    "QGemm",
    "QLinearConv",
    "QLinearMatMul",
    "DynamicQuantizeMatMul",
    "MatMulIntegerToFloat",
}
"""Operators of linear layers, quantized ones included."""

WITH_SCALES = {"QGemm", "QLinearConv", "QLinearMatMul"}
"""Operators whose weights follow the scale and the zero point of their input."""

TRANSPARENT = {"DequantizeLinear", "DynamicQuantizeLinear", "QuantizeLinear"}
"""Operators that only change the representation of numbers."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Features:
    """The tensor of a classifier that holds its features.

    It has shape `(n, D)`, `(n, T, D)` or `(n, D, h, w)`; its mean over `T` or `h` and `w` is used.
    `weights` is the tensor of the weights of the linear layer that reads it, if it was found;
    `transposed` states that they are `(K, D)` and not `(D, K)`. `rank` is the number of dimensions
    and `size` is D, once the classifier was run.
    """

    tensor: str
    weights: str | None = None
    transposed: bool = False
    rank: int = 0
    size: int = 0

    def as_rows(self, found: NDArray[np.generic]) -> Values:
        """Return the tensor as features `(n, D)`."""
        wide = found.astype(np.float32)
        return wide.mean(axis=MEAN_AXES[wide.ndim]) if wide.ndim > 2 else wide

    def linear_head(
        self, weights: Values | None, features: Values, logits: Values
    ) -> nn.Linear | None:
        """Return the layer from features `(n, D)` to logits `(n, K)`, if they are linear in them.

        The bias is what remains: it may be anywhere between the layer and the output. None if the
        remainder differs between images, as with a temperature or a quantized layer.
        """
        if weights is None:
            return None
        matrix = weights.reshape(len(weights), -1) if self.transposed else weights.T
        if matrix.shape[0] == 1 and logits.shape[1] == 2:
            matrix = np.concatenate([-matrix / 2, matrix / 2])
        if matrix.shape != (logits.shape[1], features.shape[1]):
            return None
        rest = logits.astype(np.float64) - features.astype(np.float64) @ matrix.T
        bias = rest.mean(axis=0)
        if np.abs(rest - bias).max() > 1e-3 * max(1.0, float(np.abs(logits).max())):
            return None
        layer = nn.Linear(matrix.shape[1], matrix.shape[0])
        with torch.no_grad():
            layer.weight.copy_(torch.from_numpy(np.ascontiguousarray(matrix)))
            layer.bias.copy_(torch.from_numpy(bias))
        return layer


def find_features(original: OriginalClassifier, name: str) -> Features:
    """Return the input of the last linear layer for "auto", else the tensor or node of this name.

    Raises:
        ClassifierError: There is no linear layer before the output, or no such tensor or node.
    """
    found = _find_head(original)
    if name == AUTO:
        if found is not None:
            return found
        raise ClassifierError(
            "--features auto: found no linear layer before the output. Give the name of a node or"
            f" tensor, such as {', '.join(_candidates(original))}."
        )
    tensor = _tensor_of(original, name)
    return found if found is not None and found.tensor == tensor else Features(tensor=tensor)


def _find_head(original: OriginalClassifier) -> Features | None:
    """Return the input of the last linear layer with stored weights, backwards from the output."""
    graph = original.model.graph
    makers = {name: node for node in graph.node for name in node.output if name}
    varying = _varying(original)
    seen: set[str] = set()
    queue = [original.output_name]
    while queue:
        name = queue.pop(0)
        node = makers.get(name)
        if node is None or name in seen:
            continue
        seen.add(name)
        if node.op_type in LINEAR:
            weights = node.input[3 if node.op_type in WITH_SCALES else 1]
            if node.input[0] in varying and weights not in varying:
                is_transposed = any(each.name == "transB" and each.i for each in node.attribute)
                return Features(
                    tensor=_unquantized(node.input[0], makers),
                    weights=weights if node.op_type in FLOAT_LINEAR else None,
                    transposed=is_transposed or "Conv" in node.op_type,
                )
        queue += [each for each in node.input if each in varying]
    return None


def _tensor_of(original: OriginalClassifier, name: str) -> str:
    """Return the tensor of this name, or the first output of the node of this name."""
    nodes = original.model.graph.node
    for node in nodes:
        if name in node.output:
            return name
    for node in nodes:
        if name == node.name:
            return str(node.output[0])
    raise ClassifierError(
        f"--features is {name!r}, expected {AUTO!r} or the name of a node or tensor, such as"
        f" {', '.join(_candidates(original))}"
    )


def _varying(original: OriginalClassifier) -> set[str]:
    """Return the tensors that depend on the images; the nodes are sorted."""
    found = {original.input_name}
    for node in original.model.graph.node:
        if node.op_type != "Shape" and not found.isdisjoint(node.input):
            found.update(node.output)
    return found


def _unquantized(name: str, makers: Mapping[str, onnx.NodeProto]) -> str:
    """Return the tensor before its quantization."""
    node = makers.get(name)
    while node is not None and node.op_type in TRANSPARENT:
        name = node.input[0]
        node = makers.get(name)
    return name


def _candidates(original: OriginalClassifier) -> list[str]:
    varying = _varying(original)
    inner = varying - {each.name for each in original.model.graph.output}
    names = [name for node in original.model.graph.node for name in node.output if name in inner]
    return names[-8:][::-1]
