"""The weights, biases and scales of a graph that ONNX Runtime's quantizer made."""

from collections.abc import Mapping
from dataclasses import dataclass

import onnx
from onnx import numpy_helper
from onnxruntime.quantization.quant_utils import TENSOR_NAME_QUANT_SUFFIX
from torch import Tensor

from oodguard.training.onnx_torch.node import as_tensor, parse_node
from oodguard.training.onnx_torch.quantization import along

BIAS = 2
"""The position of the bias among the inputs of Conv and Gemm."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Weight:
    """A stored int8 tensor, and its levels before they were rounded."""

    name: str
    levels: Tensor


@dataclass(frozen=True, kw_only=True, slots=True)
class Bias:
    """A stored int32 tensor, its values before they were rounded, and the names of its scales.

    Its `scale` is the product of the other two, those of the layer's input and weights.
    """

    name: str
    values: Tensor
    scale: str
    input_scale: str
    weight_scale: str


def weights(int8: onnx.ModelProto, float32: onnx.ModelProto) -> list[Weight]:
    """Return the weights that are stored as int8 in one graph and as float32 in the other."""
    stored, original = _stored(int8), _stored(float32)
    found = []
    for node in int8.graph.node:
        levels = stored.get(node.input[0]) if node.op_type == "DequantizeLinear" else None
        source = original.get(_source(levels.name)) if levels is not None else None
        if levels is not None and source is not None and levels.data_type == onnx.TensorProto.INT8:
            values = as_tensor(source).float()
            scale = along(parse_node(node), as_tensor(stored[node.input[1]]), values)
            found.append(Weight(name=levels.name, levels=values / scale))
    return found


def biases(int8: onnx.ModelProto, float32: onnx.ModelProto) -> list[Bias]:
    """Return the biases that are stored as int32 in one graph and as float32 in the other."""
    stored, original = _stored(int8), _stored(float32)
    dequantized = {n.output[0]: n.input for n in int8.graph.node if n.op_type == "DequantizeLinear"}
    found = []
    for node in int8.graph.node:
        inputs = [dequantized.get(name) for name in node.input]
        if len(inputs) > BIAS and (bias := inputs[BIAS]) and bias[0] in stored:
            source = original.get(_source(bias[0]))
            if source is not None and inputs[0] and inputs[1]:
                found.append(
                    Bias(
                        name=bias[0],
                        values=as_tensor(source).float(),
                        scale=bias[1],
                        input_scale=inputs[0][1],
                        weight_scale=inputs[1][1],
                    )
                )
    return found


def scale_names(int8: onnx.ModelProto) -> list[str]:
    """Return the names of the scales of activations, one value each."""
    stored = _stored(int8)
    names = dict.fromkeys(n.input[1] for n in int8.graph.node if n.op_type == "QuantizeLinear")
    return [
        name for name in names if name in stored and numpy_helper.to_array(stored[name]).size == 1
    ]


def _stored(model: onnx.ModelProto) -> Mapping[str, onnx.TensorProto]:
    return {each.name: each for each in model.graph.initializer}


def _source(name: str) -> str:
    suffix: str = TENSOR_NAME_QUANT_SUFFIX
    return name.removesuffix(suffix)
