"""Test cases of every operator."""

import numpy as np
from onnx import TensorProto, numpy_helper

from tests.training.onnx_torch.one_node import Array, Case

_RNG = np.random.default_rng(0)


def floats(*shape: int) -> Array:
    return _RNG.normal(size=shape).astype(np.float32)


def whole(*values: int) -> Array:
    return np.array(values, np.int64)


def one(value: float) -> Array:
    return np.array(value, np.float32)


IMAGES = floats(2, 4, 7, 6)
ROWS = floats(3, 5)
POSITIVE = np.abs(ROWS) + np.float32(0.1)
TRUTH = ROWS > 0


def _case(
    operator: str, x: Array, *others: Array | None, outputs: int = 1, **attributes: object
) -> Case:
    return Case(operator=operator, x=x, others=others, attributes=attributes, outputs=outputs)


_KERNEL = floats(6, 4, 3, 3)
_CHANNELS = tuple(np.abs(floats(4)) + np.float32(0.1) for _ in range(4))

LAYERS = (
    _case("AveragePool", IMAGES, kernel_shape=[2, 3], strides=[2, 1]),
    _case("AveragePool", IMAGES, kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
    _case("AveragePool", IMAGES, kernel_shape=[3, 3], pads=[1, 1, 1, 1], count_include_pad=1),
    _case("AveragePool", IMAGES, kernel_shape=[3, 3], pads=[0, 0, 1, 1], strides=[2, 2]),
    _case("AveragePool", IMAGES, kernel_shape=[3, 3], pads=[0, 1, 1, 1], count_include_pad=1),
    _case("AveragePool", IMAGES, kernel_shape=[3, 2], strides=[2, 2], auto_pad="SAME_UPPER"),
    _case("AveragePool", IMAGES, kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1),
    _case("BatchNormalization", IMAGES, *_CHANNELS),
    _case("BatchNormalization", IMAGES, *_CHANNELS, epsilon=0.3),
    _case("Conv", IMAGES, _KERNEL),
    _case("Conv", IMAGES, _KERNEL, floats(6), pads=[1, 1, 1, 1], strides=[2, 1]),
    _case("Conv", IMAGES, _KERNEL, pads=[0, 2, 1, 0], dilations=[1, 2]),
    _case("Conv", IMAGES, floats(4, 2, 3, 3), group=2),
    _case("Conv", IMAGES, _KERNEL, auto_pad="SAME_UPPER", strides=[2, 2]),
    _case("Conv", IMAGES, floats(6, 4, 2, 2), auto_pad="SAME_LOWER"),
    _case("Conv", IMAGES, _KERNEL, auto_pad="VALID"),
    _case("Dropout", IMAGES),
    _case("Einsum", ROWS, floats(5, 2), equation="ij,jk->ki"),
    _case("Gemm", ROWS, floats(5, 2)),
    _case("Gemm", ROWS, floats(2, 5), floats(2), transB=1),
    _case("Gemm", ROWS, floats(2, 3), floats(5, 2), transA=1, transB=1, alpha=0.5, beta=2.0),
    _case("GlobalAveragePool", IMAGES),
    _case("GlobalMaxPool", IMAGES),
    _case("InstanceNormalization", IMAGES, *_CHANNELS[:2], epsilon=0.2),
    _case("LRN", IMAGES, size=3, alpha=0.5, beta=0.6, bias=1.5),
    _case("LayerNormalization", IMAGES, floats(6), floats(6)),
    _case("LayerNormalization", IMAGES, floats(7, 6), axis=2, epsilon=0.2),
    _case("LogSoftmax", IMAGES),
    _case("MatMul", IMAGES, floats(6, 3)),
    _case("MaxPool", IMAGES, kernel_shape=[2, 2], strides=[2, 2]),
    _case("MaxPool", IMAGES - 9, kernel_shape=[3, 3], pads=[1, 1, 1, 1], dilations=[2, 1]),
    _case("MaxPool", IMAGES - 9, kernel_shape=[3, 3], pads=[0, 0, 1, 2], strides=[2, 2]),
    _case("MaxPool", IMAGES, kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1),
    _case("Softmax", IMAGES, axis=1),
)

ACTIVATIONS = (
    _case("Clip", ROWS, one(-0.5), one(0.5)),
    _case("Clip", ROWS, None, one(0.5)),
    _case("Clip", ROWS, one(0.0)),
    _case("Clip", ROWS),
    _case("Elu", ROWS, alpha=0.7),
    _case("Gelu", ROWS),
    _case("Gelu", ROWS, approximate="tanh"),
    _case("HardSigmoid", 4 * ROWS),
    _case("HardSigmoid", 4 * ROWS, alpha=0.3, beta=0.1),
    _case("HardSwish", 4 * ROWS),
    _case("LeakyRelu", ROWS),
    _case("LeakyRelu", ROWS, alpha=0.3),
    _case("Mish", ROWS),
    _case("PRelu", IMAGES, floats(4, 1, 1)),
    _case("Relu", ROWS),
    _case("Sigmoid", ROWS),
    _case("Softplus", ROWS),
    _case("Tanh", ROWS),
)

ARITHMETIC = (
    *(_case(name, ROWS) for name in ("Abs", "Ceil", "Erf", "Exp", "Floor", "Neg", "Round", "Sign")),
    *(_case(name, ROWS, floats(1, 5)) for name in ("Add", "Div", "Mul", "Sub")),
    *(_case(name, ROWS, floats(3, 5), floats(5)) for name in ("Max", "Min", "Sum")),
    *(_case(name, POSITIVE) for name in ("Log", "Reciprocal", "Sqrt")),
    _case("Div", whole(7, -7, 6), whole(2, 2, 3)),
    _case("Mod", whole(7, -7, 6), whole(3, 3, 4)),
    _case("Mod", ROWS, floats(3, 5), fmod=1),
    _case("Pow", POSITIVE, one(1.5)),
    _case("Pow", ROWS, whole(2)),
    _case("Pow", whole(2, 3), whole(3)),
)

COMPARISONS = (
    *(
        _case(name, np.round(2 * ROWS), np.round(2 * floats(3, 5)))
        for name in ("Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual")
    ),
    _case("And", TRUTH, floats(5) > 0),
    _case("Or", TRUTH, floats(5) > 0),
    _case("Not", TRUTH),
    _case("Where", TRUTH, floats(5), floats(3, 1)),
)

_TIED = np.array([[1, 3, 3], [2, 2, 0]], np.float32)

REDUCTIONS = (
    *(
        _case(name, POSITIVE.reshape(1, 3, 5), axes, **attributes)
        for name in (
            *("ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceMax"),
            *("ReduceMean", "ReduceMin", "ReduceSum", "ReduceSumSquare"),
        )
        for axes, attributes in (
            (whole(-1), {"keepdims": 0}),
            (whole(0, 2), {}),
            (None, {"keepdims": 0}),
            (None, {"noop_with_empty_axes": 1}),
        )
        # Some reductions of ONNX Runtime ignore noop_with_empty_axes.
        if not (attributes.get("noop_with_empty_axes") and name not in {"ReduceSum", "ReduceMean"})
    ),
    _case("ArgMax", _TIED, axis=1),
    _case("ArgMax", _TIED, keepdims=0),
    _case("ArgMin", _TIED, axis=-1, keepdims=0),
    _case("TopK", ROWS, whole(2), outputs=2),
    _case("TopK", ROWS, whole(2), outputs=2, axis=0, largest=0),
)

INDEXING = (
    _case("Gather", IMAGES, whole(0, -1), axis=1),
    _case("Gather", IMAGES, np.array(-2, np.int64), axis=2),
    _case("Gather", ROWS, np.array([[0, 1], [2, 0]], np.int64)),
    _case("GatherElements", ROWS, np.array([[0, -1]], np.int64), axis=1),
    _case("GatherND", ROWS, np.array([[0], [2]], np.int64)),
    _case("GatherND", IMAGES, np.array([[[0, 1], [1, -1]]], np.int64)),
    _case("Slice", IMAGES, whole(1, -3), whole(3, 2**62), whole(1, 3)),
    _case("Slice", IMAGES, whole(1), whole(2)),
    _case("Slice", IMAGES, whole(0), whole(-1), whole(-1), whole(2)),
    _case("Slice", IMAGES, whole(-1), whole(-(2**62)), whole(3), whole(-1)),
    _case("Slice", IMAGES, whole(5), whole(0), whole(2), whole(-2)),
    _case("Slice", IMAGES, whole(2), whole(2), whole(2), whole(-1)),
    _case("Split", ROWS, whole(2, 3), outputs=2, axis=1),
    _case("Split", ROWS, outputs=2, axis=1, num_outputs=2),
)

SHAPES = (
    _case("Cast", ROWS, to=TensorProto.INT64),
    _case("Cast", TRUTH, to=TensorProto.FLOAT),
    _case("Cast", np.arange(250, 256, dtype=np.uint8), to=TensorProto.FLOAT),
    _case("Concat", ROWS, floats(3, 2), axis=1),
    _case("ConstantOfShape", whole(2, 3)),
    _case("ConstantOfShape", whole(2), value=numpy_helper.from_array(whole(7))),
    _case("Range", np.array(7, np.int64), np.array(-2, np.int64), np.array(-3, np.int64)),
    _case("Expand", floats(3, 1), whole(2, 1, 4)),
    _case("Flatten", IMAGES),
    _case("Flatten", IMAGES, axis=0),
    _case("Flatten", IMAGES, axis=-1),
    _case("Identity", ROWS),
    _case("Pad", ROWS, whole(0, 1, 2, 0)),
    _case("Pad", IMAGES, whole(0, 0, 1, 2, 0, 0, 2, 0), one(3.0)),
    _case("Pad", IMAGES, whole(1, 2), None, whole(-1), mode="reflect"),
    _case("Pad", IMAGES, whole(0, 0, 1, 2, 0, 0, 2, 0), mode="edge"),
    _case("Pad", IMAGES, whole(0, 0, 1, 2, 0, 0, 2, 1), mode="reflect"),
    _case("Pad", IMAGES, whole(0, 0, 1, 2, 0, 0, 2, 0), mode="wrap"),
    _case("Pad", IMAGES, whole(0, 0, 0, 0, 0, 0, -2, 0)),
    _case("Pad", ROWS, whole(0, 0, 0, 0)),
    _case("Reshape", IMAGES, whole(0, -1)),
    _case("Reshape", IMAGES, whole(-1, 6)),
    _case("Shape", IMAGES),
    _case("Shape", IMAGES, start=-3, end=3),
    _case("Squeeze", floats(1, 3, 1)),
    _case("Squeeze", floats(1, 3, 1), whole(-1)),
    _case("Tile", ROWS, whole(2, 3)),
    _case("Transpose", IMAGES),
    _case("Transpose", IMAGES, perm=[0, 2, 3, 1]),
    _case("Unsqueeze", ROWS, whole(-1, 0)),
)

CASES = (*LAYERS, *ACTIVATIONS, *ARITHMETIC, *COMPARISONS, *REDUCTIONS, *INDEXING, *SHAPES)
