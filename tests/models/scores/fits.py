"""Fits a score on given features, all at once or in batches."""

from torch import Tensor, nn

from oodguard.models.scores import FITTED_SCORES
from oodguard.models.scores.base import FitContext, ScoreOptions


def head(weight: Tensor, bias: Tensor) -> nn.Linear:
    linear = nn.Linear(weight.shape[1], weight.shape[0])
    linear.weight.data, linear.bias.data = weight.clone(), bias.clone()
    return linear


def fit(  # noqa: PLR0913 - each has a default, and a test names what it is about
    name: str,
    features: Tensor,
    logits: Tensor,
    labels: Tensor,
    *,
    layer: nn.Module | None = None,
    options: ScoreOptions | None = None,
    batch: int = 10**9,
    seed: int = 0,
) -> nn.Module:
    context = FitContext(
        features=features.shape[1],
        classes=logits.shape[1],
        head=layer or nn.Linear(features.shape[1], logits.shape[1]),
        options=options or ScoreOptions(),
        seed=seed,
    )
    accumulator = FITTED_SCORES[name](context)
    parts = (each.split(batch) for each in (features, logits, labels))
    for part in zip(*parts, strict=True):
        accumulator.update(*part)
    return accumulator.finish()
