"""The bundle of a wrapped classifier has gradients in torch."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from oodguard.models.bundle import Bundle
from oodguard.models.errors import BundleError
from oodguard.training.data.dataset import to_pixels
from oodguard.training.onnx_torch.classifier import bundle_classifier
from oodguard.training.scoring.graph import torch_run
from oodguard.training.wrap.classifier import read_original_classifier
from oodguard.training.wrap.graph import merge
from oodguard.training.wrap.input import Normalization, PixelTransform, PixelType
from oodguard.training.wrap.output import OutputKind
from oodguard.training.wrap.scores import WrappedScores
from tests.conftest import build_bundle
from tests.training.wrap import classifiers


def wrap_file(path: Path, transform: PixelTransform) -> Bundle:
    original = read_original_classifier(path, input_name=None, output_name=None)
    scores = WrappedScores(OutputKind.LOGITS).graph(outputs=3)
    model = merge(transform.graph(), original, 3, None, scores)
    return build_bundle(
        path.parent / "bundle",
        scores=OutputKind.LOGITS.scores,
        classes=classifiers.CLASSES,
        height=classifiers.SIZE,
        width=classifiers.SIZE,
        model=model.SerializeToString(),
    )


PLAIN = PixelTransform(layout="nhwc", height=classifiers.SIZE, width=classifiers.SIZE)


@pytest.mark.parametrize("kind", ["torch", "float", "uint8"])
def test_wrapped_classifier_has_gradients(tmp_path: Path, kind: str) -> None:
    path, transform, scale = tmp_path / "net.onnx", PLAIN, 255.0
    if kind == "torch":
        classifiers.exported(path, batch=1)
        transform = replace(PLAIN, layout="nchw")
    elif kind == "float":
        onnx.save(classifiers.hand_made(tail=("Identity", "Relu"), opset=13), path)
    else:
        scale = 1.0
        onnx.save(classifiers.hand_made(kind=TensorProto.UINT8), path)
        transform = replace(PLAIN, normalization=Normalization(scale=1), pixel_type="uint8")
    wrapped = wrap_file(path, transform)
    images = np.random.default_rng(7).integers(0, 256, (5, 8, 8, 3), np.uint8)
    logits, _ = torch_run(bundle_classifier(wrapped))(images)
    np.testing.assert_allclose(logits, classifiers.expected_logits(images, scale=scale), rtol=1e-5)
    pixels = to_pixels(torch.from_numpy(images)).requires_grad_(True)
    score = bundle_classifier(wrapped).score("max_logit", pixels)
    (gradient,) = torch.autograd.grad(score.sum(), pixels)
    # -GAIN times the mean of the strongest colour, of pixels in [0, 1] or, as uint8, in [0, 255].
    strongest = torch.from_numpy(images).float().mean(dim=(1, 2)).argmax(dim=1)
    expected = torch.zeros(5, 3, 8, 8)
    expected[torch.arange(5), strongest] = -classifiers.GAIN / 64 * 255 / scale
    torch.testing.assert_close(gradient, expected)


def grey(
    folder: Path,
    kind: int,
    pixel_type: PixelType,
    *between: onnx.NodeProto,
    inputs: int = 64,
) -> Bundle:
    """Wrap a classifier of grey images whose logits are the sum of the pixels and its negative.

    `between` are nodes from the tensor `pixels` to `values`, of `inputs` numbers per image.
    """
    weights = np.tile(np.array([1, -1, 0], np.float32), (inputs, 1))
    nodes = [
        helper.make_node("Cast", ["input"], ["pixels"], to=TensorProto.FLOAT),
        *(between or [helper.make_node("Identity", ["pixels"], ["values"])]),
        helper.make_node("Flatten", ["values"], ["flat"]),
        helper.make_node("MatMul", ["flat", "weights"], ["logits"]),
    ]
    graph = helper.make_graph(
        nodes,
        "grey",
        [helper.make_tensor_value_info("input", kind, ["n", 1, 8, 8])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", 3])],
        [numpy_helper.from_array(weights, "weights")],
    )
    path = folder / "net.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)]), path)
    transform = replace(
        PLAIN,
        layout="nchw",
        channels=1,
        normalization=Normalization(scale=1),
        pixel_type=pixel_type,
    )
    return wrap_file(path, transform)


def test_wrapped_classifier_of_grey_integers_has_gradients(tmp_path: Path) -> None:
    classifier = bundle_classifier(grey(tmp_path, TensorProto.UINT8, "uint8"))
    pixels = torch.full((1, 3, 8, 8), 100 / 255, requires_grad=True)
    (gradient,) = torch.autograd.grad(classifier.score("max_logit", pixels).sum(), pixels)
    # Minus the sum of the pixels, of which red, green and blue have these weights.
    expected = -255 * torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1).expand(1, 3, 8, 8)
    torch.testing.assert_close(gradient, expected)


def test_wrapped_classifier_of_other_integers_is_rejected_by_torch(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="pixels that are cast to another type of integers, whi"):
        bundle_classifier(grey(tmp_path, TensorProto.INT32, "int32"))


def test_wrapped_classifier_with_other_outputs_in_torch_is_rejected_by_torch(
    tmp_path: Path,
) -> None:
    # ONNX Runtime squares the pixels, torch here returns them.
    square = helper.make_node("ReduceSumSquare", ["pixels"], ["values"], noop_with_empty_axes=1)
    with pytest.raises(BundleError, match="other results in torch than in ONNX Runtime"):
        bundle_classifier(grey(tmp_path, TensorProto.UINT8, "uint8", square))


def test_wrapped_classifier_that_fails_in_torch_is_rejected_by_torch(tmp_path: Path) -> None:
    # ONNX Runtime pads a dilated window by less than the definition: 6 rows instead of 8.
    pool = helper.make_node(
        "MaxPool",
        ["pixels"],
        ["values"],
        kernel_shape=[3, 3],
        dilations=[2, 2],
        auto_pad="SAME_UPPER",
    )
    with pytest.raises(BundleError, match=r"an operator that fails in torch \(mat1 and mat2"):
        bundle_classifier(grey(tmp_path, TensorProto.UINT8, "uint8", pool, inputs=36))


def test_wrapped_classifier_whose_gradient_is_zero_is_rejected_by_torch(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Neg", ["pixels"], ["negative"]),
        helper.make_node("Relu", ["negative"], ["values"]),
    ]
    with pytest.raises(
        BundleError, match="an operator whose gradient is zero for every image, whi"
    ):
        bundle_classifier(grey(tmp_path, TensorProto.UINT8, "uint8", *nodes))


def test_wrapped_classifier_with_an_unsupported_operator_is_rejected_by_torch(
    tmp_path: Path,
) -> None:
    path = tmp_path / "net.onnx"
    onnx.save(classifiers.hand_made(tail=("Celu",)), path)
    bundle = wrap_file(path, PLAIN)
    with pytest.raises(BundleError, match=r"the operator Celu, which is not supported in torch"):
        bundle_classifier(bundle)
