"""Each operator compared with ONNX Runtime."""

import numpy as np
import onnxruntime
import pytest
import torch

from oodguard.training.onnx_torch.module import OnnxModule
from oodguard.training.onnx_torch.operators import OPERATORS
from tests.training.onnx_torch.cases import CASES, POSITIVE, whole
from tests.training.onnx_torch.one_node import Case


def _expected(model: bytes, case: Case) -> list[np.ndarray]:
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    found: list[np.ndarray] = session.run(None, {"x": case.x})
    return found


@pytest.mark.parametrize("case", CASES, ids=str)
def test_operator_equals_onnx_runtime(case: Case) -> None:
    model = case.model()
    module = OnnxModule(model, outputs=[each.name for each in model.graph.output])
    found = module(torch.from_numpy(case.x))
    for found_output, expected in zip(
        found, _expected(model.SerializeToString(), case), strict=True
    ):
        assert found_output.numpy().dtype == expected.dtype
        np.testing.assert_allclose(
            found_output.numpy(), expected, rtol=2e-5, atol=1e-6, strict=True
        )


def test_operators_all_have_a_case() -> None:
    quantization = {"QuantizeLinear", "DequantizeLinear"}  # see test_quantization.py
    assert {case.operator for case in CASES} | quantization == set(OPERATORS)


@pytest.mark.parametrize("name", ["ReduceMax", "ReduceMean", "ReduceL2"])
def test_reduction_axes_are_an_attribute_below_opset_18(name: str) -> None:
    case = Case(operator=name, x=POSITIVE, attributes={"axes": [1], "keepdims": 0})
    model = case.model(opset=13)
    (found,) = OnnxModule(model, outputs=["y_0"])(torch.from_numpy(case.x))
    (expected,) = _expected(model.SerializeToString(), case)
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-5, strict=True)


def test_reshape_with_allowzero_makes_an_empty_axis() -> None:
    case = Case(
        operator="Reshape",
        x=np.zeros((0, 3), np.float32),
        others=(whole(3, 0),),
        attributes={"allowzero": 1},
    )
    (found,) = OnnxModule(case.model(), outputs=["y_0"])(torch.from_numpy(case.x))
    assert found.shape == (3, 0)
