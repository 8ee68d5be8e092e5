"""The honest table: clean and with both sides attacked, at the threshold that is served."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from models.decision import Policy, threshold
from models.errors import RecipeError
from models.scores.build import check_score
from training.attacks.goals import to_accepted, to_rejected
from training.attacks.gradient import Goal, frozen
from training.attacks.pgd import WorstCasePgd
from training.attacks.starts import uniform
from training.calibrate import calibration_scores
from training.checkpoint import RunFolder
from training.data import ImageSet, load, split, to_pixels
from training.evaluation_sources import evaluation_sources
from training.first_report import Condition, Protocol, Report, SetResult
from training.graph import ScoredClassifier, torch_run
from training.metrics import auroc, false_rejection_rate, missed_ood_rate
from training.provenance import command, hardware
from training.scored import scored_classifier

BATCH = 250

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class _Bench:
    """A classifier under examination: by one score, at one threshold, under one protocol."""

    classifier: ScoredClassifier
    score: str
    limit: float
    protocol: Protocol

    def condition(
        self, test: ImageSet, outliers: dict[str, ImageSet], epsilon_255: float, tell: Tell
    ) -> Condition:
        """Measure the test set against every outlier set under one budget on both sides."""
        tell(f"epsilon {epsilon_255:g}/255: {test.name}")
        inside = self._scores(test, epsilon_255, to_rejected(self.classifier, self.score)[0])
        sets = {}
        for name, images in outliers.items():
            tell(f"epsilon {epsilon_255:g}/255: {name}")
            outside = self._scores(images, epsilon_255, to_accepted(self.classifier, self.score)[0])
            sets[name] = SetResult(
                images=len(images),
                auroc=auroc(inside, outside),
                missed_ood_rate=missed_ood_rate(outside, self.limit),
            )
        return Condition(
            epsilon_255=epsilon_255,
            false_rejection_rate=false_rejection_rate(inside, self.limit),
            sets=sets,
        )

    def _scores(self, images: ImageSet, epsilon_255: float, goal: Goal) -> NDArray[np.float32]:
        """Score every image `(n,)` after an attack of this budget has done its worst."""
        generator = torch.Generator().manual_seed(self.protocol.seed)
        parts = []
        for part in images.images.split(BATCH):
            pixels = to_pixels(part)
            if epsilon_255 > 0:
                with frozen(self.classifier):
                    pixels = self._attack(epsilon_255)(goal, pixels, generator)
            with torch.no_grad():
                parts.append(self.classifier.score(self.score, pixels))
        return torch.cat(parts).numpy()

    def _attack(self, epsilon_255: float) -> WorstCasePgd:
        epsilon = epsilon_255 / 255
        return WorstCasePgd(
            epsilon=epsilon,
            steps=self.protocol.steps,
            step_size=self.protocol.step_size * epsilon,
            starts=(uniform,) * self.protocol.restarts,
        )


def evaluate(
    run: RunFolder,
    *,
    policy: Policy,
    protocol: Protocol,
    epsilons_255: tuple[float, ...],
    tell: Tell,
) -> Report:
    """Measure a run on its recipe's evaluation sets; `tell` hears what is being measured.

    In-distribution images are attacked towards rejection and outliers towards acceptance, each
    within the same L-infinity budget in [0, 1] pixel space, in float32 and evaluation mode.

    Raises:
        RecipeError: there is no such score, a data set cannot be read, or the run has no
            checkpoint.
        CalibrationError: too few calibration images for the policy.
    """
    began = time.perf_counter()
    recipe = run.recipe
    # Before anything is loaded.
    check_score(policy.score, reject_class=recipe.reject_classes > 0)
    inliers = load(recipe.inliers, recipe.input)
    parts = split(inliers, recipe.inliers, seed=recipe.seed)
    held_out = parts.calibration
    classifier = scored_classifier(run, parts.training, (policy.score,))
    classifier.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # faster
    calibration = calibration_scores(torch_run(classifier), held_out, (policy.score,))
    limit = threshold(calibration[policy.score], policy)
    test_source, outlier_sources = evaluation_sources(recipe)
    test = load(test_source, recipe.input)
    if test.classes != inliers.classes:
        raise RecipeError(
            f"evaluation.test: came classes {list(test.classes)}, wanted those of the inliers,"
            f" {list(inliers.classes)}"
        )
    outliers = {name: load(source, recipe.input) for name, source in outlier_sources.items()}
    inside = test.subset(slice(protocol.images))
    outside = {name: images.subset(slice(protocol.images)) for name, images in outliers.items()}
    bench = _Bench(classifier, policy.score, limit, protocol)
    return Report(
        score=policy.score,
        alpha=policy.alpha,
        delta=policy.delta,
        threshold=limit,
        calibration_images=len(held_out),
        accuracy=_accuracy(classifier, test),
        accuracy_images=len(test),
        protocol=protocol,
        conditions=tuple(
            bench.condition(inside, outside, epsilon, tell) for epsilon in (0.0, *epsilons_255)
        ),
        duration_s=time.perf_counter() - began,
        hardware=hardware(),
        command=command(),
    )


def _accuracy(classifier: ScoredClassifier, test: ImageSet) -> float:
    logits, _ = torch_run(classifier)(test.images.numpy())
    return float((logits.argmax(axis=1) == test.labels.numpy()).mean())
