from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from oodguard.models.errors import BundleError
from oodguard.training.onnx_torch.module import OnnxModule
from tests.training.onnx_torch.one_node import Case, graph

X = np.array([[1.0, -2.0, 3.0]], np.float32)


def _run(model: onnx.ModelProto, *outputs: str) -> list[list[list[float]]]:
    return [each.tolist() for each in OnnxModule(model, outputs=outputs)(torch.from_numpy(X))]


def _chain(*operators: str) -> onnx.ModelProto:
    """Return a graph of operators in sequence, with the outputs y_0, y_1, ..."""
    names = ["x", *(f"y_{number}" for number in range(len(operators)))]
    nodes = [
        helper.make_node(each, [names[at]], [names[at + 1]]) for at, each in enumerate(operators)
    ]
    return graph(nodes, X, names[1:], {})


def test_onnx_module_returns_any_tensor_of_the_graph() -> None:
    model = _chain("Relu", "Neg", "Abs")
    assert _run(model, "y_2", "y_0", "y_1") == [[[1, 0, 3]], [[1, 0, 3]], [[-1, 0, -3]]]


def test_onnx_module_rejects_an_unknown_operator() -> None:
    with pytest.raises(BundleError, match=r"operator Det, which is not supported in torch"):
        OnnxModule(_chain("Relu", "Det"), outputs=["y_1"])


def test_onnx_module_rejects_an_operator_of_another_domain() -> None:
    node = helper.make_node("Relu", ["x"], ["y"], domain="com.microsoft")
    with pytest.raises(BundleError, match=r"operator com\.microsoft\.Relu"):
        OnnxModule(graph([node], X, ["y"], {}), outputs=["y"])


def test_onnx_module_skips_nodes_that_no_output_depends_on() -> None:
    assert _run(_chain("Relu", "Det"), "y_0") == [[[1, 0, 3]]]


@pytest.mark.parametrize(
    ("case", "message"),
    [
        (Case(operator="ArgMax", x=X, attributes={"select_last_index": 1}), "select_last_index 1"),
        (Case(operator="Cast", x=X, attributes={"to": TensorProto.BFLOAT16}), "type BFLOAT16"),
        (Case(operator="Dropout", x=X, outputs=2), "Dropout with 2 outputs"),
        (
            Case(operator="MaxPool", x=X[None], attributes={"kernel_shape": [2]}),
            "MaxPool of 3 dimensions",
        ),
    ],
    ids=lambda each: each.operator if isinstance(each, Case) else None,
)
def test_onnx_module_rejects_unsupported_attributes_and_types(case: Case, message: str) -> None:
    module = OnnxModule(case.model(), outputs=[f"y_{n}" for n in range(case.outputs)])
    with pytest.raises(BundleError, match=message):
        module(torch.from_numpy(case.x))


def test_onnx_module_rejects_two_inputs_and_missing_outputs() -> None:
    model = _chain("Relu")
    with pytest.raises(BundleError, match="no tensor logits, scores"):
        OnnxModule(model, outputs=["y_0", "scores", "logits"])
    model.graph.input.append(helper.make_tensor_value_info("mask", TensorProto.FLOAT, [1]))
    with pytest.raises(BundleError, match="2 inputs instead of one"):
        OnnxModule(model, outputs=["y_0"])


def test_onnx_module_rejects_an_old_opset() -> None:
    with pytest.raises(BundleError, match="opset 12, older than 13"):
        OnnxModule(Case(operator="Relu", x=X).model(opset=12), outputs=["y_0"])


@pytest.mark.parametrize(
    ("form", "two"),
    [
        ("value_float", 2.0),
        ("value_floats", [2.0]),
        ("value", numpy_helper.from_array(np.array(2, np.float32))),
    ],
)
def test_onnx_module_supports_constant_nodes(form: str, two: object) -> None:
    constant = helper.make_node("Constant", [], ["two"])
    constant.attribute.append(helper.make_attribute(form, two))
    nodes = [constant, helper.make_node("Mul", ["x", "two"], ["y"])]
    assert _run(graph(nodes, X, ["y"], {}), "y") == [[[2, -4, 6]]]


def test_onnx_module_rejects_a_constant_of_another_form() -> None:
    nodes = [
        helper.make_node("Constant", [], ["word"], value_string="two"),
        helper.make_node("Mul", ["x", "word"], ["y"]),
    ]
    with pytest.raises(BundleError, match="a Constant with value_string"):
        OnnxModule(graph(nodes, X, ["y"], {}), outputs=["y"])


def test_onnx_module_stores_weights_as_buffers() -> None:
    case = Case(operator="Mul", x=X, others=(np.array([2], np.float32),))
    module = OnnxModule(case.model(), outputs=["y_0"])
    assert [each.tolist() for each in module.buffers()] == [[2]]
    assert not list(module.parameters())
    (found,) = module.double()(torch.from_numpy(X).double())
    assert found.dtype is torch.float64


def test_onnx_module_rejects_weights_in_another_file(tmp_path: Path) -> None:
    model = Case(operator="Mul", x=X, others=(np.array([2], np.float32),)).model()
    onnx.external_data_helper.convert_model_to_external_data(
        model, location="weights", size_threshold=0
    )
    onnx.save(model, tmp_path / "model.onnx")
    left = onnx.load(tmp_path / "model.onnx", load_external_data=False)
    with pytest.raises(BundleError, match="other_0 is stored in another file"):
        OnnxModule(left, outputs=["y_0"])


def test_cast_to_uint8_keeps_fractions_of_pixels() -> None:
    nodes = [
        helper.make_node("Cast", ["x"], ["bytes"], to=TensorProto.UINT8),
        helper.make_node("Cast", ["bytes"], ["y"], to=TensorProto.FLOAT),
    ]
    module = OnnxModule(graph(nodes, X, ["y"], {}), outputs=["y"])
    pixels = torch.tensor([[0.25, 254.75]], requires_grad=True)
    (found,) = module(pixels)
    assert found.tolist() == [[0.25, 254.75]]
    assert torch.autograd.grad(found.sum(), pixels)[0].tolist() == [[1, 1]]
