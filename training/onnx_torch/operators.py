"""The supported ONNX operators, each as a torch function."""

from collections.abc import Mapping

import torch
from torch.nn import functional

from oodguard.training.onnx_torch import elementwise, layers, quantization, shapes
from oodguard.training.onnx_torch.elementwise import arg, folded, plain, reduced
from oodguard.training.onnx_torch.node import Operator
from oodguard.training.onnx_torch.quantization import round_

OPERATORS: Mapping[str, Operator] = {
    # layers
    "AveragePool": layers.average_pool,
    "BatchNormalization": layers.batch_normalization,
    "Conv": layers.conv,
    "Dropout": lambda _, x, *__: x,
    "Einsum": lambda node, *inputs: torch.einsum(node.attributes["equation"], *inputs),
    "Gemm": layers.gemm,
    "GlobalAveragePool": lambda _, x: x.mean(dim=tuple(range(2, x.dim())), keepdim=True),
    "GlobalMaxPool": lambda _, x: x.amax(dim=tuple(range(2, x.dim())), keepdim=True),
    "InstanceNormalization": layers.instance_normalization,
    "LRN": layers.lrn,
    "LayerNormalization": layers.layer_normalization,
    "LogSoftmax": lambda node, x: torch.log_softmax(x, dim=node.attribute("axis", -1)),
    "MatMul": plain(torch.matmul),
    "MaxPool": layers.max_pool,
    "Softmax": lambda node, x: torch.softmax(x, dim=node.attribute("axis", -1)),
    # activations
    "Clip": elementwise.clip,
    "Elu": lambda node, x: functional.elu(x, node.attribute("alpha", 1.0)),
    "Gelu": lambda node, x: functional.gelu(x, approximate=node.attribute("approximate", "none")),
    "HardSigmoid": elementwise.hard_sigmoid,
    "HardSwish": plain(functional.hardswish),
    "LeakyRelu": lambda node, x: functional.leaky_relu(x, node.attribute("alpha", 0.01)),
    "Mish": plain(functional.mish),
    "PRelu": lambda _, x, slope: torch.where(x < 0, slope * x, x),
    "Relu": plain(torch.relu),
    "Sigmoid": plain(torch.sigmoid),
    "Softplus": plain(functional.softplus),
    "Tanh": plain(torch.tanh),
    # quantization
    "DequantizeLinear": quantization.dequantize_linear,
    "QuantizeLinear": quantization.quantize_linear,
    # arithmetic
    "Abs": plain(torch.abs),
    "Add": plain(torch.add),
    "Ceil": plain(torch.ceil),
    "Div": elementwise.div,
    "Erf": plain(torch.erf),
    "Exp": plain(torch.exp),
    "Floor": plain(torch.floor),
    "Log": plain(torch.log),
    "Max": folded(torch.maximum),
    "Min": folded(torch.minimum),
    "Mod": elementwise.mod,
    "Mul": plain(torch.mul),
    "Neg": plain(torch.neg),
    "Pow": lambda _, x, y: torch.pow(x, y).to(x.dtype),
    "Reciprocal": plain(torch.reciprocal),
    "Round": plain(lambda x: round_(x.clone())),
    "Sign": plain(torch.sign),
    "Sqrt": plain(torch.sqrt),
    "Sub": plain(torch.sub),
    "Sum": folded(torch.add),
    # comparisons
    "And": plain(torch.logical_and),
    "Equal": plain(torch.eq),
    "Greater": plain(torch.gt),
    "GreaterOrEqual": plain(torch.ge),
    "Less": plain(torch.lt),
    "LessOrEqual": plain(torch.le),
    "Not": plain(torch.logical_not),
    "Or": plain(torch.logical_or),
    "Where": plain(torch.where),
    # reductions
    "ArgMax": arg(torch.argmax),
    "ArgMin": arg(torch.argmin),
    "ReduceL1": reduced(lambda x, axes, keep: x.abs().sum(axes, keep)),
    "ReduceL2": reduced(lambda x, axes, keep: torch.linalg.vector_norm(x, dim=axes, keepdim=keep)),
    "ReduceLogSum": reduced(lambda x, axes, keep: x.sum(axes, keep).log()),
    "ReduceLogSumExp": reduced(torch.logsumexp),
    "ReduceMax": reduced(torch.amax),
    "ReduceMean": reduced(torch.mean),
    "ReduceMin": reduced(torch.amin),
    "ReduceSum": reduced(torch.sum),
    "ReduceSumSquare": reduced(lambda x, axes, keep: x.square().sum(axes, keep)),
    "TopK": elementwise.top_k,
    # indexing
    "Gather": shapes.gather,
    "GatherElements": shapes.gather_elements,
    "GatherND": shapes.gather_nd,
    "Range": lambda _, start, end, step: torch.arange(
        start.item(), end.item(), step.item(), device=start.device
    ),
    "Slice": shapes.slice_,
    "Split": shapes.split,
    # shapes and types
    "Cast": elementwise.cast,
    "Concat": lambda node, *inputs: torch.cat(inputs, dim=node.attributes["axis"]),
    "ConstantOfShape": shapes.constant_of_shape,
    "Expand": lambda _, x, sizes: x.expand(torch.broadcast_shapes(x.shape, sizes.tolist())),
    "Flatten": shapes.flatten,
    "Identity": lambda _, x, *__: x,
    "Pad": shapes.pad,
    "Reshape": shapes.reshape,
    "Shape": shapes.shape,
    "Squeeze": shapes.squeeze,
    "Tile": lambda _, x, times: x.repeat(times.tolist()),
    "Transpose": lambda node, x: x.permute(node.attribute("perm", list(range(x.dim()))[::-1])),
    "Unsqueeze": shapes.unsqueeze,
}
"""Operators by name; a node's optional attributes have the defaults of ONNX."""
