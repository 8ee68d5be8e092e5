"""Score attacked images by torch and by ONNX Runtime, and join the results of batches."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from oodguard.training.attacks.attack_runner import to_uint8
from oodguard.training.data.dataset import to_pixels
from oodguard.training.evaluation.results import (
    AttackResult,
    Predictions,
    in_255ths,
    join_predictions,
)
from oodguard.training.evaluation.target import EvaluationTarget, ScoreUnderTest
from oodguard.training.report.evidence import FalseAccept

WORST_ACCEPTS = 4  # false accepts recorded for each set and epsilon


def attack_result(  # noqa: PLR0913 - the images, and by what they are scored
    target: EvaluationTarget,
    score: ScoreUnderTest,
    clean: Tensor,
    epsilon: float,
    pixels: Tensor,
    *,
    set_name: str | None = None,
) -> AttackResult:
    """Score images `(n, 3, H, W)` that were attacked from `clean`, uint8 `(n, H, W, 3)`.

    False accepts are recorded if the name of the set of outliers is given.
    """
    with torch.no_grad():
        classes = target.classifier.features_and_logits(pixels)[1].argmax(1)
    predictions = Predictions(scores=score.values(pixels).numpy(), classes=classes.numpy())
    result = AttackResult(
        epsilon=epsilon,
        predictions=predictions,
        replayed=_replay(target, score, clean, epsilon, pixels),
        false_accepts=(),
    )
    if set_name is None:
        return result
    accepts = _false_accepts(target, score, clean, pixels, result, set_name)
    return replace(result, false_accepts=accepts)


def _replay(
    target: EvaluationTarget, score: ScoreUnderTest, clean: Tensor, epsilon: float, pixels: Tensor
) -> Predictions | None:
    if score.column is None:
        return None
    logits, scores = target.onnx_run(to_uint8(pixels, clean, epsilon))
    return Predictions(scores=scores[:, score.column], classes=logits.argmax(axis=1))


def _false_accepts(  # noqa: PLR0913 - as `attack_result`
    target: EvaluationTarget,
    score: ScoreUnderTest,
    clean: Tensor,
    pixels: Tensor,
    result: AttackResult,
    set_name: str,
) -> tuple[FalseAccept, ...]:
    predictions = result.predictions
    lowest = np.argsort(predictions.scores, kind="stable")[:WORST_ACCEPTS]
    rows = [row for row in lowest if predictions.scores[row] <= score.threshold]
    clean_scores = score.values(to_pixels(clean[rows])) if rows else torch.empty(0)
    return tuple(
        FalseAccept(
            set_name=set_name,
            epsilon_255=in_255ths(result.epsilon),
            clean=clean[row].numpy(),
            attacked=pixels[row].permute(1, 2, 0).numpy(),
            clean_score=float(clean_score),
            score=float(predictions.scores[row]),
            predicted_class=target.classes[predictions.classes[row]],
        )
        for row, clean_score in zip(rows, clean_scores, strict=True)
    )


def join_results(batches: Sequence[Sequence[AttackResult]]) -> tuple[AttackResult, ...]:
    """Join the results of all batches, epsilon by epsilon."""
    return tuple(_join_one(parts) for parts in zip(*batches, strict=True))


def _join_one(parts: tuple[AttackResult, ...]) -> AttackResult:
    replayed = [part.replayed for part in parts if part.replayed is not None]
    accepts = sorted(
        (case for part in parts for case in part.false_accepts), key=lambda case: case.score
    )
    return replace(
        parts[0],
        predictions=join_predictions([part.predictions for part in parts]),
        replayed=join_predictions(replayed) if replayed else None,
        false_accepts=tuple(accepts[:WORST_ACCEPTS]),
    )
