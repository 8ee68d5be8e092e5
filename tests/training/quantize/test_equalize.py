"""Scaled channels: the same outputs, and more similar ranges."""

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from oodguard.training.quantize.equalize import equalize_channels

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (5, 6, 6, 3), np.uint8)
SIZES = np.array([1, 30, 0.1, 5], np.float32)
"""Factors of the channels' ranges."""


def _net(tail: list[onnx.NodeProto], *, groups: int = 1) -> onnx.ModelProto:
    """Two convolutions with a residual connection, and the nodes of `tail` from `y` to `logits`."""
    nodes = [
        helper.make_node("Cast", ["images"], ["float"], to=onnx.TensorProto.FLOAT),
        helper.make_node("Transpose", ["float"], ["x"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["x", "w0", "b0"], ["c0"]),
        helper.make_node("Relu", ["c0"], ["r0"]),
        helper.make_node("Conv", ["r0", "w1"], ["c1"], group=groups),
        helper.make_node("Add", ["c1", "r0"], ["sum"]),
        helper.make_node("Relu", ["sum"], ["y"]),
        *tail,
    ]
    for number, node in enumerate(nodes):
        node.name = f"n{number}"
    weights = {
        "w0": (RNG.normal(size=(4, 3, 1, 1)) * SIZES[:, None, None, None] / 255),
        "b0": RNG.normal(size=4) * SIZES,
        "w1": RNG.normal(size=(4, 4 // groups, 1, 1)) * SIZES[:, None, None, None] / 60,
        "w2": RNG.normal(size=(2, 4, 1, 1)),
    }
    return helper.make_model(
        helper.make_graph(
            nodes,
            "net",
            [helper.make_tensor_value_info("images", onnx.TensorProto.UINT8, ["n", 6, 6, 3])],
            [helper.make_tensor_value_info("logits", onnx.TensorProto.FLOAT, list("nkhw"))],
            [numpy_helper.from_array(w.astype(np.float32), name) for name, w in weights.items()],
        ),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=8,
    )


CONVOLUTION = [helper.make_node("Conv", ["y", "w2"], ["logits"])]
MEAN_AND_SIGMOID = [
    helper.make_node("Conv", ["y", "w2"], ["used"]),
    helper.make_node("ReduceMean", ["y"], ["mean"], axes=[2, 3]),
    helper.make_node("Sigmoid", ["mean"], ["gate"]),
    helper.make_node("Mul", ["used", "gate_sum"], ["logits"]),
]
MEAN_AND_SIGMOID.insert(3, helper.make_node("ReduceMax", ["gate"], ["gate_sum"], axes=[1]))


def _run(model: onnx.ModelProto, *names: str) -> list[NDArray[np.float32]]:
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    copy.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names if name != "logits")
    session = onnxruntime.InferenceSession(
        copy.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    results: list[NDArray[np.float32]] = session.run(list(names), {"images": IMAGES})
    return results


def _spread(values: NDArray[np.float32]) -> float:
    ranges = np.abs(values).max(axis=(0, 2, 3))
    return float(ranges.max() / ranges.min())


@pytest.mark.parametrize("tail", [CONVOLUTION, MEAN_AND_SIGMOID])
def test_equalized_graph_has_the_same_outputs_and_more_similar_channels(
    tail: list[onnx.NodeProto],
) -> None:
    model = _net(tail)
    before, relu = _run(model, "logits", "r0")
    equalize_channels(model, IMAGES)
    onnx.checker.check_model(model)
    after, scaled = _run(model, "logits", "r0")
    np.testing.assert_allclose(after, before, rtol=1e-4, atol=1e-5)
    assert _spread(scaled) < 0.3 * _spread(relu)


def test_equalize_leaves_channels_of_a_grouped_convolution() -> None:
    model = _net(CONVOLUTION, groups=2)
    before = model.SerializeToString()
    equalize_channels(model, IMAGES)
    assert model.SerializeToString() == before


def test_equalize_leaves_channels_that_an_output_shows() -> None:
    model = _net([*CONVOLUTION])
    model.graph.output.append(helper.make_tensor_value_info("r0", onnx.TensorProto.FLOAT, None))
    before = model.SerializeToString()
    equalize_channels(model, IMAGES)
    assert model.SerializeToString() == before


def test_equalize_leaves_a_graph_whose_branches_may_read_channels() -> None:
    branches = [
        helper.make_graph(
            [helper.make_node(operator, ["r0"], [operator])],
            operator,
            [],
            [helper.make_tensor_value_info(operator, onnx.TensorProto.FLOAT, None)],
        )
        for operator in ("GlobalMaxPool", "GlobalAveragePool")
    ]
    choice = helper.make_node(
        "If", ["condition"], ["chosen"], then_branch=branches[0], else_branch=branches[1]
    )
    model = _net([choice, *CONVOLUTION])
    model.graph.initializer.append(numpy_helper.from_array(np.array(True), "condition"))
    before = model.SerializeToString()
    equalize_channels(model, IMAGES)
    assert model.SerializeToString() == before
