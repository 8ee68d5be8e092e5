"""An exported bundle as a classifier with gradients: its graph, run by torch."""

from collections.abc import Sequence
from typing import Any

import onnx
import torch
from google.protobuf.message import DecodeError
from torch import Tensor

from oodguard.models.bundle import Bundle
from oodguard.models.errors import BundleError
from oodguard.models.manifest import InputSpec
from oodguard.models.scores.base import Score
from oodguard.training.onnx_torch.module import OnnxModule
from oodguard.training.onnx_torch.node import unsupported
from oodguard.training.scoring.graph import ScoredClassifier


class IndependentConcat(torch.autograd.Function):
    """Concatenate columns `(n, 1)` to `(n, S)` with independent gradients.

    Plain concatenation passes a gradient of zeros to columns without an objective. That costs a
    backward pass through each, and where a derivative is infinite, 0 times infinity is NaN and
    makes the whole gradient NaN.
    """

    @staticmethod
    def forward(_: Any, *columns: Tensor) -> Tensor:  # noqa: ANN401  (torch's context)
        """Concatenate the columns."""
        return torch.cat(columns, dim=1)

    @staticmethod
    def backward(_: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401
        """Pass each column its own gradient, or None where that is zero for all images."""
        return tuple(part if part.any() else None for part in gradients[0].split(1, dim=1))


class BundleClassifier(ScoredClassifier):
    """The graph of a bundle with its scores by name.

    Its features are the score columns `(n, S)`, because the graph computes the scores itself.
    """

    def __init__(self, graph: OnnxModule, scores: Sequence[str], *, classes: int) -> None:
        super().__init__({name: _column(k) for k, name in enumerate(scores)}, classes=classes)
        self.graph = graph

    def features_and_outputs(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Map float `(n, 3, H, W)` in [0, 1] to score columns `(n, S)` and logits `(n, K)`."""
        # The graph's uint8 input as float, so that gradients pass; the graph scales it again.
        logits, *columns = self.graph(255 * pixels.permute(0, 2, 3, 1))
        joined: Tensor = IndependentConcat.apply(*columns)  # type: ignore[no-untyped-call]
        return joined, logits


def bundle_classifier(bundle: Bundle) -> BundleClassifier:
    """Return the graph of a bundle in torch, in evaluation mode.

    Raises:
        BundleError: The graph is invalid, or has something that is not supported here, or no
            gradient; the message names it.
    """
    try:
        model = onnx.load_model_from_string(bundle.model)
    except DecodeError as error:
        raise BundleError(f"model.onnx: invalid ONNX model: {error}. Export it again.") from error
    names = bundle.manifest.scores
    graph = OnnxModule(model, outputs=("logits", *_score_tensors(model.graph, count=len(names))))
    graph.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # faster
    classifier = BundleClassifier(graph, names, classes=len(bundle.manifest.classes)).eval()
    _check_gradient(classifier, bundle.manifest.input)
    return classifier


def _check_gradient(classifier: BundleClassifier, spec: InputSpec) -> None:
    """Check that the logits depend on the images by operators with a gradient.

    Raises:
        UnsupportedGraph: They do not, as for a classifier whose input is int32 or int64.
    """
    image = torch.zeros(1, 3, spec.height, spec.width, requires_grad=True)
    with torch.enable_grad():
        _, logits = classifier.features_and_outputs(image)
    if not logits.requires_grad:
        raise unsupported("pixels that are cast to another type of integers")


def _score_tensors(graph: onnx.GraphProto, *, count: int) -> Sequence[str]:
    """Return the tensors `(n, 1)` that `scores` concatenates, or `scores` if it is made otherwise.

    Export and wrapping both end with this concatenation.
    """
    for node in graph.node:
        if "scores" in node.output and node.op_type == "Concat" and len(node.input) == count:
            return list(node.input)
    return ["scores"]


def _column(index: int) -> Score:
    return lambda features, _: features[:, index]
