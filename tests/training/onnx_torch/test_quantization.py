"""QuantizeLinear and DequantizeLinear compared with ONNX Runtime, and their gradient by hand."""

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import helper

from oodguard.training.onnx_torch.module import OnnxModule
from tests.training.onnx_torch.one_node import graph

X = np.array([[-40.0, -1.25, -0.75], [0.25, 0.75, 1.25], [3.1, 63.9, 400.0]], np.float32)


def _pair(scale: np.ndarray, zero: np.ndarray | None, axis: int = 1) -> onnx.ModelProto:
    others = ["scale", "zero"] if zero is not None else ["scale"]
    nodes = [
        helper.make_node("QuantizeLinear", ["x", *others], ["levels"], axis=axis),
        helper.make_node("DequantizeLinear", ["levels", *others], ["y"], axis=axis),
    ]
    constants = {"scale": scale} | ({"zero": zero} if zero is not None else {})
    return graph(nodes, X, ["y"], constants)


@pytest.mark.parametrize(
    ("scale", "zero", "axis"),
    [
        (np.float32(0.5), np.uint8(10), 1),
        (np.float32(0.5), np.int8(-3), 1),
        (np.float32(0.5), None, 1),
        (np.array([0.5, 0.25, 2], np.float32), np.array([0, 100, 255], np.uint8), 1),
        (np.array([0.5, 0.25, 2], np.float32), np.array([0, 5, -7], np.int8), 0),
    ],
)
def test_quantize_and_dequantize_equal_onnx_runtime(
    scale: np.ndarray, zero: np.ndarray | None, axis: int
) -> None:
    model = _pair(np.asarray(scale), None if zero is None else np.asarray(zero), axis=axis)
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    (expected,) = session.run(None, {"x": X})
    (found,) = OnnxModule(model, outputs=["y"])(torch.from_numpy(X))
    np.testing.assert_array_equal(found.numpy(), expected)


@pytest.mark.parametrize("kind", [onnx.TensorProto.INT8, onnx.TensorProto.UINT8])
def test_quantize_without_zero_point_has_the_output_type_of_its_attribute(kind: int) -> None:
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "scale"], ["levels"], output_dtype=kind),
        helper.make_node("DequantizeLinear", ["levels", "scale"], ["y"]),
    ]
    model = graph(nodes, X, ["y"], {"scale": np.asarray(np.float32(0.5))}, opset=21)
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    (expected,) = session.run(None, {"x": X})
    (found,) = OnnxModule(model, outputs=["y"])(torch.from_numpy(X))
    np.testing.assert_array_equal(found.numpy(), expected)


def test_quantization_gradient_is_one_inside_of_the_range_and_zero_outside() -> None:
    # Scale .5 and zero point 10: the levels 0 to 255 are the values -5 to 122.5.
    model = _pair(np.asarray(np.float32(0.5)), np.asarray(np.uint8(10)))
    x = torch.from_numpy(X).clone().requires_grad_()
    (y,) = OnnxModule(model, outputs=["y"])(x)
    y.sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [[0, 1, 1], [1, 1, 1], [1, 1, 0]]
