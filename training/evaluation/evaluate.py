"""Evaluate a run or a bundle, clean and under attack, at the threshold that it is served with."""

import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import torch

from oodguard.models.decision import Policy, rejects
from oodguard.models.errors import RecipeError
from oodguard.sources.classes import match_all_classes
from oodguard.sources.source import Source
from oodguard.training.config.evaluation_sources import evaluation_sources
from oodguard.training.config.suites import Suite
from oodguard.training.data.card import EVALUATION, SourceNotes
from oodguard.training.data.copies import without_copies
from oodguard.training.data.dataset import ImageSet, load, to_pixels
from oodguard.training.evaluation.attack_trials import (
    AttackedScore,
    AttackTrials,
    TrialImages,
    run_attack_trials,
    trial_steps,
)
from oodguard.training.evaluation.black_box import (
    BlackBoxClassifier,
    black_box_suite,
    distil,
)
from oodguard.training.evaluation.evaluator import EvaluationObserver, Evaluator
from oodguard.training.evaluation.masking_checks import run_masking_checks
from oodguard.training.evaluation.partial_results import PartialResults, evaluation_key
from oodguard.training.evaluation.results import class_results, evidence, score_result
from oodguard.training.evaluation.step_time import seconds_per_step
from oodguard.training.evaluation.target import EvaluationTarget, ScoreUnderTest
from oodguard.training.provenance import command, hardware
from oodguard.training.report.class_results import ClassResult
from oodguard.training.report.classes import rejections_by_class
from oodguard.training.report.evidence import EvaluationEvidence
from oodguard.training.report.model import Report, ScoreResult, Twin
from oodguard.training.scoring.graph import evaluation_batch_size
from oodguard.training.scoring.parity import in_batches

DISTILLED_IMAGES = 2000
"""The largest number of images of a set on which the surrogate of a black box is trained."""

REPLAYED_BY = "ONNX Runtime"


def evaluate(  # noqa: PLR0913  (by keyword)
    target: EvaluationTarget,
    *,
    suite: Suite,
    policy: Policy,
    observer: EvaluationObserver,
    other_scores: tuple[str, ...] = (),
    twin: EvaluationTarget | None = None,
    parts: Path | None = None,
) -> tuple[Report, EvaluationEvidence]:
    """Evaluate a target on the evaluation sets of its recipe.

    In-distribution images are attacked towards rejection and outliers towards acceptance, within
    the same L-infinity ball in [0, 1] pixel space, in float32 and evaluation mode. `other_scores`
    are scores and detectors that are evaluated too, for comparison. Attacks on `twin`, another
    classifier, are tried on `target`. The folder `parts` holds the finished parts, with
    which an interrupted evaluation continues; it is deleted at the end.

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
    test_set, inliers, outliers, notes = _load_images(target, suite)
    if isinstance(target.classifier, BlackBoxClassifier):
        if twin is not None:
            raise RecipeError(
                "--twin: torch cannot run the graph, which is attacked by transfer from a network"
                " that imitates it, expected no twin. Remove --twin."
            )
        observer.stage("distilling a surrogate")
        sets = (inliers, *outliers.values())
        attacked = torch.cat([each.images[:DISTILLED_IMAGES] for each in sets])
        suite = black_box_suite(suite)
        target = replace(target, surrogate=distil(target.classifier, attacked, seed=suite.seed))
    partial = PartialResults(parts, _key(target, suite, policy, test_set, outliers, twin))
    evaluators = [
        Evaluator(target=target, score=score, suite=suite, observer=observer, partial=partial)
        for score in scores
    ]
    end_to_end = suite.ascent.end_to_end > 0
    steps = sum(
        each.total_steps(inliers, outliers, end_to_end=end_to_end and each is evaluators[0])
        for each in evaluators
    )
    subset = _trial_images(target, suite, scores[0], inliers, outliers)
    in_trials = trial_steps(suite, images=subset.count, twin=twin is not None) if subset else 0
    seconds = (steps + in_trials) * seconds_per_step(target, suite, scores[0], inliers)
    observer.start(steps + in_trials, seconds=seconds, finished=partial.found)
    evaluations = [
        each.evaluate(inliers, outliers, end_to_end=end_to_end and each is evaluators[0])
        for each in evaluators
    ]
    results = tuple(score_result(each, seed=suite.seed) for each in evaluations)
    observer.stage("gradient-masking checks")
    trials = _run_trials(target, suite, results[0], subset, twin, partial)
    observer.advance(in_trials)
    classes, accuracy = _on_whole_test_set(target, test_set, scores[0])
    report = Report(
        name=target.name,
        measured=target.measured,
        weights=target.weights,
        suite=suite,
        test_set=test_set.name,
        alpha=policy.alpha,
        delta=policy.delta,
        calibration_images=len(target.rows),
        calibration_groups=target.rows.group_count,
        accuracy=accuracy,
        accuracy_images=len(test_set),
        method=target.method,
        classes=classes,
        predicted_classes=rejections_by_class(target.rows, policy, target.classes),
        training_accuracy=target.training_accuracy,
        finished_epochs=target.finished_epochs,
        inliers=target.inliers,
        teacher=target.teacher,
        started_from=target.started_from,
        data=notes,
        results=results,
        trust=run_masking_checks(trials),
        twin=Twin(name=twin.name, method=twin.method) if twin else None,
        replayed_by=REPLAYED_BY,
        straight_through=target.straight_through,
        recipe=target.recipe_text,
        duration_s=time.perf_counter() - started + partial.earlier_s,
        hardware=hardware(),
        command=command(),
    )
    partial.delete()
    return report, evidence(evaluations[0])


def _load_images(
    target: EvaluationTarget, suite: Suite
) -> tuple[ImageSet, ImageSet, dict[str, ImageSet], dict[str, SourceNotes]]:
    """Read the images without those that the run was trained on.

    Returns:
        The whole test set, the part of it that is attacked, the outliers by set, and what was left
        out of each source by its key.
    """
    notes = {
        key: SourceNotes(skipped=each.skipped, left_out=each.left_out, copies=each.copies)
        for key, each in target.notes.items()
        if not key.startswith(EVALUATION)
    }

    def read(key: str, source: Source, *, labelled: bool) -> ImageSet:
        images = load(source, target.spec, labelled=labelled)
        copies = target.notes[key].copies if key in target.notes else None
        notes[key] = SourceNotes(
            skipped=dict(images.skipped), left_out=dict(images.left_out), copies=copies
        )
        return without_copies(images, copies, key=key)

    test_source, outlier_sources = evaluation_sources(target.recipe)
    test_set = read("evaluation.test", test_source, labelled=True)
    name = f"evaluation.test: {test_set.name}"
    positions = torch.tensor(match_all_classes(target.classes, test_set.classes, name=name))
    test_set = replace(test_set, labels=positions[test_set.labels], classes=target.classes)
    outliers = {
        name: read(f"evaluation.outliers.{name}", source, labelled=False).subset(
            slice(suite.outlier_images)
        )
        for name, source in outlier_sources.items()
    }
    return test_set, test_set.subset(slice(suite.test_images)), outliers, _without_rows(notes)


def _without_rows(notes: Mapping[str, SourceNotes]) -> dict[str, SourceNotes]:
    """Return the notes without the rows of copies, which only data.json needs."""
    return {
        key: each.model_copy(update={"copies": each.copies.model_copy(update={"rows": ()})})
        if each.copies
        else each
        for key, each in notes.items()
    }


def _trial_images(
    target: EvaluationTarget,
    suite: Suite,
    score: ScoreUnderTest,
    inliers: ImageSet,
    outliers: Mapping[str, ImageSet],
) -> TrialImages | None:
    """Return the images of the attack trials, or None if the suite has none."""
    if suite.trials.images == 0 or not suite.budgets:
        return None
    share = -(-suite.trials.images // len(outliers))
    subset = torch.cat([each.images[:share] for each in outliers.values()])[: suite.trials.images]
    return TrialImages(
        victim=AttackedScore(classifier=target.classifier, score=score.name),
        inliers=to_pixels(inliers.images[: suite.trials.images]),
        outliers=to_pixels(subset),
    )


def _run_trials(  # noqa: PLR0913  (a target, its images and the result so far)
    target: EvaluationTarget,
    suite: Suite,
    result: ScoreResult,
    images: TrialImages | None,
    twin: EvaluationTarget | None,
    partial: PartialResults,
) -> AttackTrials:
    epsilons = (0.0, *suite.budgets)
    by_epsilon = {
        epsilon: condition.mean_auroc
        for epsilon, condition in zip(epsilons, result.conditions, strict=True)
    }
    if images is None:
        return AttackTrials(by_epsilon=by_epsilon, black_box=target.surrogate is not None)
    return run_attack_trials(
        images,
        suite=suite,
        epsilon=_trial_epsilon(target, suite),
        by_epsilon=by_epsilon,
        twin=AttackedScore(classifier=twin.classifier, score=twin.default_score) if twin else None,
        generator=torch.Generator().manual_seed(suite.seed),
        remember=partial.figure,
    )


def _trial_epsilon(target: EvaluationTarget, suite: Suite) -> float:
    """Return the epsilon of the training attack; the smallest of the suite without one.

    All attacks look equally strong within an epsilon at which the AUROC is already 0, and within
    one that hardly lowers it.
    """
    return target.trained_epsilon or suite.budgets[0]


def _key(  # noqa: PLR0913  (all that determines the results)
    target: EvaluationTarget,
    suite: Suite,
    policy: Policy,
    test_set: ImageSet,
    outliers: Mapping[str, ImageSet],
    twin: EvaluationTarget | None,
) -> str:
    limits = [scores.tobytes().hex() for scores in target.calibration.values()]
    limits += [] if target.rows.groups is None else [target.rows.groups.tobytes().hex()]
    settings = (target.measured, target.recipe_text, suite.model_dump_json(), repr(policy), *limits)
    others = (each.images[:] for each in outliers.values())
    images = (test_set.images[:], test_set.labels, *others)
    networks = (target.classifier, *((twin.classifier,) if twin else ()))
    return evaluation_key((*settings, *outliers), images, torch.nn.ModuleList(networks))


def _on_whole_test_set(
    target: EvaluationTarget, test_set: ImageSet, score: ScoreUnderTest
) -> tuple[tuple[ClassResult, ...], float]:
    """Return the clean results by class and the accuracy of the served graph."""
    images = test_set.images.numpy()
    size = evaluation_batch_size(*images.shape[1:3])
    logits, scores = in_batches(target.onnx_run, images, size)
    predicted, labels = logits.argmax(axis=1), test_set.labels.numpy()
    rejected = rejects(scores[:, list(target.calibration).index(score.name)], score.threshold)
    classes = class_results(labels, predicted, rejected, target.classes)
    return classes, float((predicted == labels).mean())
