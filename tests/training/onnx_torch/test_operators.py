"""Each operator answers as ONNX Runtime's does."""

import numpy as np
import onnxruntime
import pytest
import torch

from oodguard.training.onnx_torch.module import OPERATORS, OnnxModule
from tests.training.onnx_torch.cases import CASES, POSITIVE, whole
from tests.training.onnx_torch.one_node import Case


def _expected(model: bytes, case: Case) -> list[np.ndarray]:
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    found: list[np.ndarray] = session.run(None, {"x": case.x})
    return found


@pytest.mark.parametrize("case", CASES, ids=str)
def test_an_operator_answers_as_in_onnx_runtime(case: Case) -> None:
    model = case.model()
    module = OnnxModule(model, outputs=[each.name for each in model.graph.output])
    found = module(torch.from_numpy(case.x))
    for mine, theirs in zip(found, _expected(model.SerializeToString(), case), strict=True):
        assert mine.numpy().dtype == theirs.dtype
        np.testing.assert_allclose(mine.numpy(), theirs, rtol=2e-5, atol=1e-6, strict=True)


def test_every_operator_has_a_case() -> None:
    assert {case.operator for case in CASES} == set(OPERATORS)


@pytest.mark.parametrize("name", ["ReduceMax", "ReduceMean", "ReduceL2"])
def test_before_opset_18_axes_are_an_attribute(name: str) -> None:
    case = Case(operator=name, x=POSITIVE, attributes={"axes": [1], "keepdims": 0})
    model = case.model(opset=13)
    (found,) = OnnxModule(model, outputs=["y_0"])(torch.from_numpy(case.x))
    (expected,) = _expected(model.SerializeToString(), case)
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-5, strict=True)


def test_a_reshape_to_no_rows_is_told_by_allowzero() -> None:
    case = Case(
        operator="Reshape",
        x=np.zeros((0, 3), np.float32),
        others=(whole(3, 0),),
        attributes={"allowzero": 1},
    )
    (found,) = OnnxModule(case.model(), outputs=["y_0"])(torch.from_numpy(case.x))
    assert found.shape == (3, 0)
