"""Every operator that torch runs here, by its ONNX name."""

from collections.abc import Mapping

import torch
from torch.nn import functional

from training.onnx_torch import elementwise, indexing, layers, reductions, shapes, windows
from training.onnx_torch.elementwise import folded, plain
from training.onnx_torch.node import Operator
from training.onnx_torch.reductions import arg, reduced

OPERATORS: Mapping[str, Operator] = {
    # layers
    "AveragePool": windows.average_pool,
    "BatchNormalization": layers.batch_normalization,
    "Conv": windows.conv,
    "Dropout": elementwise.identity,
    "Einsum": layers.einsum,
    "Gemm": layers.gemm,
    "GlobalAveragePool": windows.global_average_pool,
    "GlobalMaxPool": windows.global_max_pool,
    "InstanceNormalization": layers.instance_normalization,
    "LRN": layers.lrn,
    "LayerNormalization": layers.layer_normalization,
    "LogSoftmax": layers.log_softmax,
    "MatMul": plain(torch.matmul),
    "MaxPool": windows.max_pool,
    "Softmax": layers.softmax,
    # activations
    "Clip": elementwise.clip,
    "Elu": elementwise.elu,
    "Gelu": elementwise.gelu,
    "HardSigmoid": elementwise.hard_sigmoid,
    "HardSwish": plain(functional.hardswish),
    "LeakyRelu": elementwise.leaky_relu,
    "Mish": plain(functional.mish),
    "PRelu": elementwise.prelu,
    "Relu": plain(torch.relu),
    "Sigmoid": plain(torch.sigmoid),
    "Softplus": plain(functional.softplus),
    "Tanh": plain(torch.tanh),
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
    "Pow": elementwise.power,
    "Reciprocal": plain(torch.reciprocal),
    "Round": plain(torch.round),
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
    # one number of many
    "ArgMax": arg(torch.argmax),
    "ArgMin": arg(torch.argmin),
    "ReduceL1": reduced(reductions.l1),
    "ReduceL2": reduced(reductions.l2),
    "ReduceLogSum": reduced(reductions.log_sum),
    "ReduceLogSumExp": reduced(torch.logsumexp),
    "ReduceMax": reduced(torch.amax),
    "ReduceMean": reduced(torch.mean),
    "ReduceMin": reduced(torch.amin),
    "ReduceSum": reduced(torch.sum),
    "ReduceSumSquare": reduced(reductions.sum_square),
    "TopK": reductions.top_k,
    # some of the numbers
    "Gather": indexing.gather,
    "GatherElements": indexing.gather_elements,
    "GatherND": indexing.gather_nd,
    "Slice": indexing.slice_,
    "Split": shapes.split,
    # the same numbers, arranged anew
    "Cast": elementwise.cast,
    "Concat": shapes.concat,
    "ConstantOfShape": shapes.constant_of_shape,
    "Expand": shapes.expand,
    "Flatten": shapes.flatten,
    "Identity": elementwise.identity,
    "Pad": shapes.pad,
    "Reshape": shapes.reshape,
    "Shape": shapes.shape,
    "Squeeze": shapes.squeeze,
    "Tile": shapes.tile,
    "Transpose": shapes.transpose,
    "Unsqueeze": shapes.unsqueeze,
}
