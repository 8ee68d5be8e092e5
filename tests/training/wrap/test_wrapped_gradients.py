"""The bundle of a wrapped classifier has gradients in torch."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto

from oodguard.models.bundle import Bundle
from oodguard.models.errors import BundleError
from oodguard.training.data.dataset import to_pixels
from oodguard.training.onnx_torch.classifier import bundle_classifier
from oodguard.training.scoring.graph import torch_run
from oodguard.training.wrap.classifier import read_original_classifier
from oodguard.training.wrap.graph import merge
from oodguard.training.wrap.input import Normalization, PixelTransform
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


def test_wrapped_classifier_with_an_unsupported_operator_is_rejected_by_torch(
    tmp_path: Path,
) -> None:
    path = tmp_path / "net.onnx"
    onnx.save(classifiers.hand_made(tail=("Celu",)), path)
    bundle = wrap_file(path, PLAIN)
    with pytest.raises(BundleError, match=r"the operator Celu, which is not supported in torch"):
        bundle_classifier(bundle)
