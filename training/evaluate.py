"""The honest table: clean and with both sides attacked, at the threshold that is served."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from models.decision import Policy, threshold
from models.errors import RecipeError
from models.scores import SCORES
from training.attacks.aims import TO_REJECTED, to_accepted
from training.attacks.gradient import Aim
from training.attacks.pgd import WorstCasePgd
from training.calibrate import calibration_scores
from training.checkpoint import RunFolder
from training.data import ImageSet, load, split, to_pixels
from training.graph import ScoredClassifier, torch_run
from training.metrics import auroc, false_rejection_rate, missed_ood_rate
from training.precision import Runner
from training.provenance import command, hardware
from training.report import Condition, Protocol, Report, SetResult
from training.trained import trained_network

BATCH = 250

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class _Bench:
    """A network under examination: by one score, at one threshold, under one protocol."""

    network: nn.Module
    score: str
    limit: float
    protocol: Protocol

    def condition(
        self, test: ImageSet, outliers: dict[str, ImageSet], epsilon_255: float, tell: Tell
    ) -> Condition:
        """Measure the test set against every outlier set under one budget on both sides."""
        tell(f"epsilon {epsilon_255:g}/255: {test.name}")
        inside = self._scores(test, epsilon_255, TO_REJECTED[self.score])
        sets = {}
        for name, images in outliers.items():
            tell(f"epsilon {epsilon_255:g}/255: {name}")
            outside = self._scores(images, epsilon_255, to_accepted(self.score))
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

    def _scores(self, images: ImageSet, epsilon_255: float, aim: Aim) -> NDArray[np.float32]:
        """Score every image `(n,)` after an attack of this budget has done its worst."""
        generator = torch.Generator().manual_seed(self.protocol.seed)
        parts = []
        for part in images.images.split(BATCH):
            pixels = to_pixels(part)
            if epsilon_255 > 0:
                pixels = self._attack(epsilon_255)(self.network, pixels, aim, generator)
            with torch.no_grad():
                parts.append(SCORES[self.score](self.network(pixels)))
        return torch.cat(parts).numpy()

    def _attack(self, epsilon_255: float) -> WorstCasePgd:
        epsilon = epsilon_255 / 255
        return WorstCasePgd(
            epsilon=epsilon,
            steps=self.protocol.steps,
            step_size=self.protocol.step_size * epsilon,
            restarts=self.protocol.restarts,
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
    if policy.score not in SCORES:
        raise RecipeError(f"score: came {policy.score!r}, wanted one of {sorted(SCORES)}")
    began = time.perf_counter()
    recipe = run.recipe
    inliers = load(recipe.inliers, recipe.input)
    network = trained_network(run, classes=len(inliers.classes))
    held_out = split(inliers, recipe.inliers, seed=recipe.seed).calibration
    classifier = ScoredClassifier(network, (policy.score,))
    calibration = calibration_scores(torch_run(classifier), held_out, (policy.score,))
    limit = threshold(calibration[policy.score], policy)
    test = load(recipe.evaluation.test, recipe.input)
    if test.classes != inliers.classes:
        raise RecipeError(
            f"evaluation.test: came classes {list(test.classes)}, wanted those of the inliers,"
            f" {list(inliers.classes)}"
        )
    outliers = {name: load(s, recipe.input) for name, s in recipe.evaluation.outliers.items()}
    inside = test.subset(slice(protocol.images))
    outside = {name: images.subset(slice(protocol.images)) for name, images in outliers.items()}
    bench = _Bench(Runner(network, "float32").eval(), policy.score, limit, protocol)
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
