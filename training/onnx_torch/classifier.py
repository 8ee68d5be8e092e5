"""An exported bundle as a classifier that can be attacked: its very graph, run by torch."""

from collections.abc import Sequence
from typing import Any

import onnx
import torch
from google.protobuf.message import DecodeError
from torch import Tensor

from oodguard.models.bundle import Bundle
from oodguard.models.errors import BundleError
from oodguard.models.scores.base import Score
from oodguard.training.onnx_torch.module import OnnxModule
from oodguard.training.scoring.graph import ScoredClassifier


class IndependentConcat(torch.autograd.Function):
    """Columns `(n, 1)` each to `(n, S)`; the gradient of one goes to that one alone.

    A plain concatenation hands a gradient of zeros to the columns that nobody climbs. That costs a
    pass through each of them, and where one has an infinite derivative, zero times that is not a
    number and spoils the gradient of all.
    """

    @staticmethod
    def forward(_: Any, *columns: Tensor) -> Tensor:  # noqa: ANN401  (torch's context)
        """Put the columns side by side."""
        return torch.cat(columns, dim=1)

    @staticmethod
    def backward(_: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401
        """Hand each column its own gradient, and none where it is zero for all images."""
        return tuple(part if part.any() else None for part in gradients[0].split(1, dim=1))


class BundleClassifier(ScoredClassifier):
    """A bundle's graph with its scores by name.

    Its features are the score columns `(n, S)`: what the scores are made of is inside the graph.
    """

    def __init__(self, graph: OnnxModule, scores: Sequence[str], *, classes: int) -> None:
        super().__init__({name: _column(k) for k, name in enumerate(scores)}, classes=classes)
        self.graph = graph

    def features_and_outputs(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Map float `(n, 3, H, W)` in [0, 1] to score columns `(n, S)` and logits `(n, K)`."""
        # The graph's uint8 pixels as float: it scales them down again, and gradients pass.
        logits, *columns = self.graph(255 * pixels.permute(0, 2, 3, 1))
        joined: Tensor = IndependentConcat.apply(*columns)  # type: ignore[no-untyped-call]
        return joined, logits


def bundle_classifier(bundle: Bundle) -> BundleClassifier:
    """Return the bundle's graph in torch, in evaluation mode.

    Raises:
        BundleError: the graph has something that is not run in torch here, or lacks something; the
            message names it.
    """
    try:
        model = onnx.load_model_from_string(bundle.model)
    except DecodeError as error:
        raise BundleError(f"model.onnx is no ONNX model: {error}; export it anew") from error
    names = bundle.manifest.scores
    graph = OnnxModule(model, outputs=("logits", *_columns(model.graph, count=len(names))))
    graph.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # convolves faster
    return BundleClassifier(graph, names, classes=len(bundle.manifest.classes)).eval()


def _columns(graph: onnx.GraphProto, *, count: int) -> Sequence[str]:
    """Return the tensors `(n, 1)` that `scores` is joined of, or itself where it is made otherwise.

    Both of the ways to a bundle, export and wrapping, end in one that joins the columns.
    """
    for node in graph.node:
        if "scores" in node.output and node.op_type == "Concat" and len(node.input) == count:
            return list(node.input)
    return ["scores"]


def _column(place: int) -> Score:
    return lambda features, _: features[:, place]
