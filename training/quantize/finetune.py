"""Fine-tune an INT8 graph to the outputs of its float32 graph."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import numpy_helper
from torch import Tensor, nn

from oodguard.training.onnx_torch.module import OnnxModule
from oodguard.training.onnx_torch.quantization import round_
from oodguard.training.quantize.weights import Bias, Weight, biases, scale_names, weights
from oodguard.training.scoring.graph import evaluation_batch_size

STEPS = 700
BATCH_SIZE = 64
WEIGHT_RATE = 0.006
"""Learning rate of the weights, in levels of INT8."""
RELATIVE_RATE = 0.002
"""Learning rate of the scales, in logarithms, and of the biases, as a share of their mean size."""
FIRST_RANGE = 0.88
"""Share of the observed range that the scales of the activations start from."""
WARM_UP_STEPS = 20
AVERAGED_STEPS = 50
"""Steps over which parameters are averaged (exponentially)."""
SCORE_WEIGHT = 2.0
"""Weight of the score against the logits. A larger one: fewer decisions change, more classes."""
SEED = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Decision:
    """The column of the deciding score, and the float32 graph's threshold of it."""

    column: int
    threshold: float


def finetune(
    int8: onnx.ModelProto,
    float32: onnx.ModelProto,
    images: NDArray[np.uint8],
    decision: Decision,
    *,
    stage: Callable[[str], None],
) -> None:
    """Train the INT8 levels of the weights, the biases and the scales of the activations, in place.

    The loss is the difference of the logits and of the deciding score from those of the float32
    graph. Images near a class boundary or the threshold count most. Labels are not needed.

    Args:
        int8: The graph that `quantize_graph` made of `float32`.
        float32: The graph with the weights before rounding.
        images: In-distribution images `(n, H, W, 3)`, none of which calibrates or is compared.
        decision: The deciding score.
        stage: Called with the progress.

    Raises:
        BundleError: The graph has something that torch cannot run here.

    Source: Jacob et al., arXiv:1712.05877; for the scales Esser et al., arXiv:1902.08153.
    """
    student, teacher = (OnnxModule(each, outputs=("logits", "scores")) for each in (int8, float32))
    tuned = _Tuned(int8, float32, student)
    average = torch.optim.swa_utils.AveragedModel(
        tuned, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(1 - 1 / AVERAGED_STEPS)
    )
    optimizer = torch.optim.Adam(
        [
            {"params": list(tuned.levels), "lr": WEIGHT_RATE},
            {"params": [*tuned.shifts, *tuned.factors], "lr": RELATIVE_RATE},
        ],
        betas=(0.9, 0.99),
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, _rate)
    for step, batch in enumerate(_batches(images)):
        with torch.no_grad():
            expected = teacher(batch)
        tuned.install()
        loss = _loss(student(batch), expected, decision)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        average.update_parameters(tuned)
        if step % 10 == 0:
            stage(f"fine-tuning, step {step} of {STEPS}")
    tuned.load_state_dict(average.module.state_dict())
    tuned.install()
    tuned.write(int8)


class _Tuned(nn.Module):
    """The parameters of an INT8 graph: levels of weights, shifts of biases, factors of scales."""

    def __init__(self, int8: onnx.ModelProto, float32: onnx.ModelProto, graph: OnnxModule) -> None:
        super().__init__()
        self._graph = [graph]  # not a submodule: its constants are replaced, not trained
        self._weights: list[Weight] = weights(int8, float32)
        self._biases: list[Bias] = biases(int8, float32)
        self._scales = {name: FIRST_RANGE * graph.constant(name) for name in scale_names(int8)}
        self.levels = nn.ParameterList(each.levels for each in self._weights)
        self.shifts = nn.ParameterList(torch.zeros_like(each.values) for each in self._biases)
        self.factors = nn.ParameterList(torch.zeros(()) for _ in self._scales)

    def install(self) -> None:
        """Let the graph run with the present parameters."""
        (graph,) = self._graph
        for (name, first), factor in zip(self._scales.items(), self.factors, strict=True):
            graph.replace_constant(name, first * factor.exp())
        for weight, levels in zip(self._weights, self.levels, strict=True):
            graph.replace_constant(weight.name, round_(levels.clamp(-127, 127)))
        for bias, shift in zip(self._biases, self.shifts, strict=True):
            # ONNX Runtime adds biases as integers of this scale.
            scale = (graph.constant(bias.input_scale) * graph.constant(bias.weight_scale)).detach()
            graph.replace_constant(bias.scale, scale)
            value = bias.values + shift * bias.values.abs().mean()
            graph.replace_constant(bias.name, round_(value / scale))

    def write(self, model: onnx.ModelProto) -> None:
        """Write the constants of the graph into a model."""
        (graph,) = self._graph
        names = {*self._scales, *(each.name for each in self._weights)}
        names.update(name for each in self._biases for name in (each.name, each.scale))
        for stored in model.graph.initializer:
            if stored.name in names:
                old = numpy_helper.to_array(stored)
                new = graph.constant(stored.name).detach().numpy().astype(old.dtype)
                stored.CopyFrom(numpy_helper.from_array(new.reshape(old.shape), stored.name))


def _loss(found: tuple[Tensor, ...], expected: tuple[Tensor, ...], decision: Decision) -> Tensor:
    """Return the squared differences of margins and score, most at the boundaries, `()`."""
    (logits, scores), (expected_logits, expected_scores) = found, expected
    best = expected_logits.argmax(dim=1, keepdim=True)
    margins = logits.gather(1, best) - logits
    expected_margins = expected_logits.gather(1, best) - expected_logits
    score, expected_score = (each[:, decision.column] for each in (scores, expected_scores))
    return _difference(margins, expected_margins, 0).sum() / len(logits) + SCORE_WEIGHT * (
        _difference(score, expected_score, decision.threshold).mean()
    )


def _difference(found: Tensor, expected: Tensor, boundary: float) -> Tensor:
    """Return squared differences, weighted by 1 / (1 + d^2), d the distance to the boundary.

    Differences and distances are in units of the spread of the expected values.
    """
    spread = expected.std(correction=0) + 1e-12
    distance = (expected - boundary) / (0.5 * spread)
    return ((found - expected) / spread) ** 2 / (1 + distance**2)


def _rate(step: int) -> float:
    cosine = 0.5 * (1 + math.cos(math.pi * step / STEPS))
    return min(1.0, (step + 1) / WARM_UP_STEPS) * cosine


def _batches(images: NDArray[np.uint8]) -> Iterator[Tensor]:
    """Yield `STEPS` batches of images as float; each image once before any comes again."""
    size = min(BATCH_SIZE, max(2, evaluation_batch_size(*images.shape[1:3])), len(images))
    generator = np.random.default_rng(SEED)
    order = np.empty(0, np.int64)
    for _ in range(STEPS):
        if len(order) < size:
            order = generator.permutation(len(images))
        yield torch.from_numpy(images[order[:size]]).float()
        order = order[size:]
