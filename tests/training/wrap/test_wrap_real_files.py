"""Files as other tools write them: torch, scikit-learn, quantizers, Paddle."""

import functools
import warnings
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from sklearn.datasets import load_digits

from oodguard.models.errors import RecipeError
from oodguard.models.networks.timm_network import import_timm
from oodguard.training.wrap.agreement import check_agreement
from oodguard.training.wrap.classifier import read_original_classifier
from oodguard.training.wrap.form import infer_form
from oodguard.training.wrap.graph import merge, merged_run
from oodguard.training.wrap.input import Normalization, PixelTransform
from oodguard.training.wrap.original import original_outputs
from oodguard.training.wrap.output import OutputKind, check_output_kind
from oodguard.training.wrap.scores import WrappedScores
from tests.training.wrap.classifiers import GAIN, SIZE, ColourNet, expected_logits, hand_made

FILES = Path(__file__).parent / "files"
IMAGES = np.random.default_rng(4).integers(0, 256, (70, SIZE, SIZE, 3), dtype=np.uint8)
Values = NDArray[np.float32]


@functools.cache
def _scores_graph(kind: OutputKind, outputs: int) -> onnx.ModelProto:
    return WrappedScores(kind).graph(outputs=outputs)


def wrapped_logits(
    path: Path,
    images: NDArray[np.uint8],
    *,
    kind: OutputKind = OutputKind.LOGITS,
    size: int | None = None,
    scale: float = 255.0,
) -> Values:
    """Wrap a file as the command does, check the agreement, and return the logits."""
    original = read_original_classifier(path, input_name=None, output_name=None)
    form = infer_form(original.shape, layout=None, height=size, width=size)
    transform = PixelTransform(
        layout=form.layout,
        height=form.height,
        width=form.width,
        channels=form.channels,
        rank=form.rank,
        normalization=Normalization(scale=1 if original.takes_integers else scale),
        pixel_type=original.pixel_type,
    )
    raw, _ = original_outputs(original, transform)(images)
    check_output_kind(raw, kind)
    graph = _scores_graph(kind, raw.shape[1])
    run = merged_run(merge(transform.graph(), original, raw.shape[1], None, graph))
    check_agreement(raw, run, images, WrappedScores(kind))
    logits, _ = run(images)
    return logits


@pytest.mark.slow
def test_wrap_of_the_older_torch_exporter(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            ColourNet().eval(),
            (torch.zeros(1, 3, SIZE, SIZE),),
            str(tmp_path / "net.onnx"),
            dynamo=False,
            input_names=["input"],
            dynamic_axes={"input": {0: "batch"}},
        )
    found = wrapped_logits(tmp_path / "net.onnx", IMAGES)
    np.testing.assert_allclose(found, expected_logits(IMAGES), rtol=1e-4)


def _as_paddle_writes(free: int) -> onnx.ModelProto:
    """ColourNet with the free dimensions of paddle2onnx and its last softmax."""
    nodes = [
        helper.make_node("Conv", ["x", "conv2d_0.w_0"], ["conv2d_0.tmp_0"], kernel_shape=[1, 1]),
        helper.make_node("GlobalAveragePool", ["conv2d_0.tmp_0"], ["pool2d_0.tmp_0"]),
        helper.make_node("Reshape", ["pool2d_0.tmp_0", "shape"], ["flatten_0.tmp_0"]),
        helper.make_node("Softmax", ["flatten_0.tmp_0"], ["softmax_0.tmp_0"], axis=1),
    ]
    weights = [
        numpy_helper.from_array(
            (GAIN * np.eye(3, dtype=np.float32)[::-1]).reshape(3, 3, 1, 1).copy(), "conv2d_0.w_0"
        ),
        numpy_helper.from_array(np.array([-1, 3], np.int64), "shape"),
    ]
    shape = {"x": [free, 3, free, free], "softmax_0.tmp_0": [free, 3]}
    ports = [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in shape.items()]
    graph = helper.make_graph(nodes, "Model from PaddlePaddle.", ports[:1], ports[1:], weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 11)], ir_version=6)


@pytest.mark.parametrize("free", [-1, 0])
def test_wrap_of_free_dimensions_written_as_numbers(free: int, tmp_path: Path) -> None:
    onnx.save(_as_paddle_writes(free), tmp_path / "net.onnx")
    found = wrapped_logits(tmp_path / "net.onnx", IMAGES, kind=OutputKind.PROBABILITIES, size=SIZE)
    expected = expected_logits(IMAGES)
    expected -= np.log(np.exp(expected).sum(axis=1, keepdims=True))
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_wrap_of_unsorted_nodes(tmp_path: Path) -> None:
    model = hand_made()
    nodes = list(model.graph.node)[::-1]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    onnx.save(model, tmp_path / "net.onnx")
    found = wrapped_logits(tmp_path / "net.onnx", IMAGES)
    np.testing.assert_allclose(found, expected_logits(IMAGES), rtol=1e-4)


def test_wrap_of_model_local_functions(tmp_path: Path) -> None:
    model = hand_made()
    inner = helper.make_function(
        "local",
        "Scaled",
        ["a", "b"],
        ["c"],
        [helper.make_node("Mul", ["a", "b"], ["c"])],
        [helper.make_opsetid("", 17)],
    )
    model.graph.node[3].op_type, model.graph.node[3].domain = "Scaled", "local"
    model.functions.append(inner)
    model.opset_import.append(helper.make_opsetid("local", 1))
    onnx.save(model, tmp_path / "net.onnx")
    found = wrapped_logits(tmp_path / "net.onnx", IMAGES)
    np.testing.assert_allclose(found, expected_logits(IMAGES), rtol=1e-4)


@pytest.mark.parametrize("kind", [TensorProto.FLOAT16, TensorProto.DOUBLE, TensorProto.INT32])
def test_wrap_of_inputs_of_other_types(kind: int, tmp_path: Path) -> None:
    onnx.save(hand_made(kind=kind), tmp_path / "net.onnx")
    found = wrapped_logits(tmp_path / "net.onnx", IMAGES)
    scale = 1 if kind == TensorProto.INT32 else 255
    np.testing.assert_allclose(found, expected_logits(IMAGES, scale=scale), rtol=1e-3)


class _Reader(CalibrationDataReader):  # type: ignore[misc]
    def __init__(self) -> None:
        self._rows = iter(IMAGES.astype(np.float32) / 255)

    def get_next(self) -> dict[str, Values] | None:
        row = next(self._rows, None)
        return None if row is None else {"x": row.transpose(2, 0, 1)[None]}


def quantized(path: Path) -> Path:
    """Quantize a classifier to INT8 in QDQ format, as ONNX Runtime's tool does."""
    model = _as_paddle_writes(-1)
    for port, dims in ((model.graph.input[0], [1, 3, SIZE, SIZE]), (model.graph.output[0], [1, 3])):
        for dim, size in zip(port.type.tensor_type.shape.dim, dims, strict=True):
            dim.dim_value = size
    model.opset_import[0].version = 13
    del model.graph.node[-1]  # the softmax
    model.graph.output[0].name = "flatten_0.tmp_0"
    onnx.save(model, path.with_suffix(".float.onnx"))
    quantize_static(
        path.with_suffix(".float.onnx"),
        path,
        _Reader(),
        quant_format=QuantFormat.QDQ,
        weight_type=QuantType.QInt8,
    )
    return path


def test_wrap_of_a_quantized_classifier(tmp_path: Path) -> None:
    path = quantized(tmp_path / "net.onnx")
    operators = {node.op_type for node in onnx.load(path).graph.node}
    assert {"QuantizeLinear", "DequantizeLinear"} <= operators
    found = wrapped_logits(path, IMAGES)
    # Eight bits for the pixels, the weights and the outputs.
    np.testing.assert_allclose(found, expected_logits(IMAGES), atol=0.1)


@pytest.mark.parametrize(
    ("name", "accuracy"), [("digits_logistic.onnx", 0.9), ("digits_forest.onnx", 0.6)]
)
def test_wrap_of_scikit_learn(name: str, accuracy: float) -> None:
    digits, labels = load_digits(return_X_y=True)
    grey = np.rint(digits[1000:] / 16 * 255).astype(np.uint8).reshape(-1, 8, 8, 1)
    images = np.repeat(grey, 3, axis=3)
    found = wrapped_logits(FILES / name, images, kind=OutputKind.PROBABILITIES, scale=1)
    assert found.shape == (797, 10)
    assert (found.argmax(axis=1) == labels[1000:]).mean() > accuracy


@pytest.mark.slow
def test_wrap_of_a_timm_network(tmp_path: Path) -> None:
    try:
        timm = import_timm()
    except RecipeError:
        pytest.skip("timm is not installed")
    torch.manual_seed(0)
    network = timm.create_model("resnet10t", num_classes=3).eval()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            network, (torch.zeros(1, 3, 64, 64),), dynamo=True, verbose=False
        )
    assert program is not None
    onnx.save(program.model_proto, tmp_path / "net.onnx")
    images = np.random.default_rng(5).integers(0, 256, (9, 64, 64, 3), dtype=np.uint8)
    found = wrapped_logits(tmp_path / "net.onnx", images)
    with torch.no_grad():
        expected = network(torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255)
    np.testing.assert_allclose(found, expected.numpy(), rtol=1e-3, atol=1e-4)
