"""Evaluate a run or a bundle, clean and under attack, at the threshold that it is served with."""

import time
from collections.abc import Mapping
from dataclasses import replace

import torch

from oodguard.models.decision import Policy
from oodguard.models.errors import RecipeError
from oodguard.training.config.recipe import evaluation_sources
from oodguard.training.config.suites import Suite
from oodguard.training.data.classes import match_all_classes
from oodguard.training.data.dataset import ImageSet, load, to_pixels
from oodguard.training.evaluation.attack_trials import (
    AttackedScore,
    AttackTrials,
    TrialImages,
    run_attack_trials,
)
from oodguard.training.evaluation.evaluator import EvaluationObserver, Evaluator
from oodguard.training.evaluation.masking_checks import run_masking_checks
from oodguard.training.evaluation.results import evidence, score_result
from oodguard.training.evaluation.target import EvaluationTarget
from oodguard.training.provenance import command, hardware
from oodguard.training.report.evidence import EvaluationEvidence
from oodguard.training.report.model import Report, ScoreResult
from oodguard.training.scoring.graph import evaluation_batch_size
from oodguard.training.scoring.parity import in_batches

REPLAYED_BY = "ONNX Runtime"


def evaluate(  # noqa: PLR0913  (by keyword)
    target: EvaluationTarget,
    *,
    suite: Suite,
    policy: Policy,
    observer: EvaluationObserver,
    other_scores: tuple[str, ...] = (),
    twin: EvaluationTarget | None = None,
) -> tuple[Report, EvaluationEvidence]:
    """Evaluate a target on the evaluation sets of its recipe.

    In-distribution images are attacked towards rejection and outliers towards acceptance, within
    the same L-infinity ball in [0, 1] pixel space, in float32 and evaluation mode. `other_scores`
    are scores and detectors that are evaluated too, for comparison. Attacks on `twin`, usually an
    undefended target, are tried on `target`.

    Returns:
        The figures, and the scores that they were computed from.

    Raises:
        RecipeError: There is no such score, or a data set cannot be read.
        CalibrationError: There are too few calibration images for the policy.
    """
    started = time.perf_counter()
    if policy.score not in target.calibration:
        raise RecipeError(
            f"score: received {policy.score!r}, expected one of {', '.join(target.calibration)}"
        )
    names = tuple(dict.fromkeys((policy.score, *other_scores)))
    scores = [target.score_under_test(name, policy) for name in names]
    test_set, inliers, outliers = _load_images(target, suite)
    observer.start(_total_steps(suite, inliers, outliers, scores=len(names)))
    evaluations = [
        Evaluator(target=target, score=score, suite=suite, observer=observer).evaluate(
            inliers,
            outliers,
            end_to_end=score.name == policy.score and suite.ascent.end_to_end > 0,
        )
        for score in scores
    ]
    results = tuple(score_result(each, seed=suite.seed) for each in evaluations)
    observer.stage("gradient-masking checks")
    trials = _run_trials(target, suite, results[0], inliers, outliers, twin)
    return Report(
        name=target.name,
        measured=target.measured,
        suite=suite,
        test_set=test_set.name,
        alpha=policy.alpha,
        delta=policy.delta,
        calibration_images=target.calibration_images,
        accuracy=_accuracy(target, test_set),
        accuracy_images=len(test_set),
        results=results,
        trust=run_masking_checks(trials),
        replayed_by=REPLAYED_BY,
        recipe=target.recipe_text,
        duration_s=time.perf_counter() - started,
        hardware=hardware(),
        command=command(),
    ), evidence(evaluations[0])


def _load_images(
    target: EvaluationTarget, suite: Suite
) -> tuple[ImageSet, ImageSet, dict[str, ImageSet]]:
    """Return the whole test set, the part of it that is attacked, and the outliers by set."""
    recipe = target.recipe
    test_source, outlier_sources = evaluation_sources(recipe)
    test_set = load(test_source, recipe.input, labelled=True)
    name = f"evaluation.test: {test_set.name}"
    positions = torch.tensor(match_all_classes(target.classes, test_set.classes, name=name))
    test_set = replace(test_set, labels=positions[test_set.labels], classes=target.classes)
    outliers = {
        name: load(source, recipe.input).subset(slice(suite.outlier_images))
        for name, source in outlier_sources.items()
    }
    return test_set, test_set.subset(slice(suite.test_images)), outliers


def _run_trials(  # noqa: PLR0913  (a target, its images and the result so far)
    target: EvaluationTarget,
    suite: Suite,
    result: ScoreResult,
    inliers: ImageSet,
    outliers: Mapping[str, ImageSet],
    twin: EvaluationTarget | None,
) -> AttackTrials:
    epsilons = (0.0, *suite.budgets)
    by_epsilon = {
        epsilon: condition.mean_auroc
        for epsilon, condition in zip(epsilons, result.conditions, strict=True)
    }
    if suite.trials.images == 0 or not suite.budgets:
        return AttackTrials(by_epsilon=by_epsilon)
    share = -(-suite.trials.images // len(outliers))
    subset = torch.cat([each.images[:share] for each in outliers.values()])[: suite.trials.images]
    images = TrialImages(
        victim=AttackedScore(classifier=target.classifier, score=result.score),
        inliers=to_pixels(inliers.images[: suite.trials.images]),
        outliers=to_pixels(subset),
    )
    return run_attack_trials(
        images,
        suite=suite,
        epsilon=_trial_epsilon(target, suite),
        by_epsilon=by_epsilon,
        twin=AttackedScore(classifier=twin.classifier, score=twin.default_score) if twin else None,
        generator=torch.Generator().manual_seed(suite.seed),
    )


def _trial_epsilon(target: EvaluationTarget, suite: Suite) -> float:
    """Return the epsilon of the training attack if the suite has it, else the smallest.

    Where the attack has already lowered the AUROC to 0, all attacks look equally strong.
    """
    attack = target.recipe.attack
    return attack.epsilon if attack and attack.epsilon in suite.budgets else suite.budgets[0]


def _total_steps(
    suite: Suite, inliers: ImageSet, outliers: Mapping[str, ImageSet], *, scores: int
) -> int:
    images = len(inliers) + sum(len(each) for each in outliers.values())
    per_epsilon = images * suite.ascent.steps * scores + len(inliers) * suite.ascent.end_to_end
    return per_epsilon * len(suite.budgets)


def _accuracy(target: EvaluationTarget, test_set: ImageSet) -> float:
    images = test_set.images.numpy()
    size = evaluation_batch_size(*images.shape[1:3])
    logits, _ = in_batches(target.onnx_run, images, size)
    return float((logits.argmax(axis=1) == test_set.labels.numpy()).mean())
