"""Evaluate one score on image sets: attack each batch within all epsilons."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import torch
from torch import Tensor

from oodguard.training.attacks.attack_runner import run_attack, run_end_to_end_attack
from oodguard.training.attacks.base import AttackObjective
from oodguard.training.attacks.objectives import (
    acceptance_objectives,
    rejection_objective,
    wrong_and_accepted_objective,
)
from oodguard.training.config.suites import Suite
from oodguard.training.data.dataset import ImageSet, to_pixels
from oodguard.training.evaluation.attacked_images import attack_result, join_results
from oodguard.training.evaluation.black_box import DistilledSurrogate, run_black_box_attack
from oodguard.training.evaluation.partial_results import PartialResults
from oodguard.training.evaluation.results import (
    AttackResult,
    ScoreEvaluation,
)
from oodguard.training.evaluation.target import EvaluationTarget, ScoreUnderTest
from oodguard.training.scoring.graph import evaluation_batch_size
from oodguard.training.scoring.network import frozen


class EvaluationObserver(Protocol):
    """Follows the progress of an evaluation."""

    def start(self, steps: int, *, seconds: float, finished: int) -> None:
        """Start; `steps` gradient steps of one image follow, in about `seconds` in all.

        `finished` is the number of parts that an interrupted evaluation left.
        """

    def stage(self, name: str) -> None:
        """Enter a stage, such as an image set."""

    def advance(self, steps: int) -> None:
        """Record gradient steps of one image as done."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Evaluator:
    """Evaluates one score of a target with the attacks of a suite.

    Images are processed in batches, each through all epsilons, so that memory does not grow with
    the number of images.
    """

    target: EvaluationTarget
    score: ScoreUnderTest
    suite: Suite
    observer: EvaluationObserver
    partial: PartialResults

    def evaluate(
        self, inliers: ImageSet, outliers: Mapping[str, ImageSet], *, end_to_end: bool
    ) -> ScoreEvaluation:
        """Return all attack results, with those of the end-to-end attack on request."""
        stage = self.observer.stage
        stage(f"{self.score.name}: {inliers.name}")
        inlier_results = self._attack(inliers, "inliers", outliers=False)
        outlier_results = {}
        for name, images in outliers.items():
            stage(f"{self.score.name}: {name}")
            outlier_results[name] = self._attack(images, f"outliers {name}", outliers=True)
        if end_to_end:
            stage(f"{self.score.name}: {inliers.name}, end to end")
        return ScoreEvaluation(
            score=self.score.name,
            threshold=self.score.threshold,
            labels=inliers.labels.numpy(),
            inliers=inlier_results,
            outliers=outlier_results,
            end_to_end=self._attack_end_to_end(inliers) if end_to_end else (),
        )

    def steps(self, images: int, *, targeted: int) -> int:
        """Return the gradient steps of one image that an attack within all epsilons takes."""
        targets = (len(self.score.acceptance) - 1) * targeted
        return (images * self.suite.ascent.restarts + targets) * self._steps_per_start

    def total_steps(
        self, inliers: ImageSet, outliers: Mapping[str, ImageSet], *, end_to_end: bool
    ) -> int:
        """Return the gradient steps of one image of `evaluate`, at most."""
        settings = self.suite.ascent
        steps = self.steps(len(inliers), targeted=0)
        for images in outliers.values():
            steps += self.steps(len(images), targeted=min(settings.targeted, len(images)))
        if end_to_end:
            steps += len(inliers) * settings.end_to_end * len(self.suite.budgets)
        return steps

    @property
    def _steps_per_start(self) -> int:
        return self.suite.ascent.steps * len(self.suite.budgets)

    def _attack(self, images: ImageSet, name: str, *, outliers: bool) -> tuple[AttackResult, ...]:
        """Attack towards rejection or acceptance; return the clean result, then one per epsilon."""
        settings, generator = self.suite.ascent, self._generator()
        objectives = self.score.acceptance if outliers else (self.score.rejection,)
        targeted = settings.targeted if outliers else 0  # images that all targets still attack
        batches = []
        size = evaluation_batch_size(*images.images.shape[1:3])
        for number, (clean, _) in enumerate(images.batches(size)):
            chosen = min(targeted, len(clean))
            measure = partial(
                self._attack_batch,
                clean,
                objectives,
                generator,
                targeted=chosen,
                set_name=images.name if outliers else None,
            )
            steps = self.steps(len(clean), targeted=chosen)
            batches.append(self._part(f"{name} {number}", generator, measure, steps))
            targeted -= chosen
        return join_results(batches)

    def _attack_batch(
        self,
        clean: Tensor,
        objectives: Sequence[AttackObjective],
        generator: torch.Generator,
        *,
        targeted: int,
        set_name: str | None,
    ) -> list[AttackResult]:
        pixels = to_pixels(clean)
        if surrogate := self.target.surrogate:
            source = (
                acceptance_objectives(surrogate, self.score.name)[0]
                if set_name
                else rejection_objective(surrogate, self.score.name)
            )
            attacked = self._attack_black_box(surrogate, objectives[0], source, pixels, generator)
        else:
            attacked = run_attack(
                self.suite.ascent,
                objectives,
                pixels,
                self.suite.budgets,
                generator,
                targeted=targeted,
            )
        steps = self.steps(len(clean), targeted=targeted)
        first = attack_result(self.target, self.score, clean, 0.0, pixels)
        return [first, *self._results(clean, attacked, steps=steps, set_name=set_name)]

    def _attack_end_to_end(self, images: ImageSet) -> tuple[AttackResult, ...]:
        """Attack towards a wrong class that is accepted; return one result per epsilon."""
        generator, steps = self._generator(), self.suite.ascent.end_to_end
        batches = []
        size = evaluation_batch_size(*images.images.shape[1:3])
        for number, (clean, labels) in enumerate(images.batches(size)):
            total = len(clean) * steps * len(self.suite.budgets)
            measure = partial(self._attack_batch_end_to_end, clean, labels, generator, steps=total)
            batches.append(self._part(f"end to end {number}", generator, measure, total))
        return join_results(batches)

    def _attack_batch_end_to_end(
        self, clean: Tensor, labels: Tensor, generator: torch.Generator, *, steps: int
    ) -> list[AttackResult]:
        name, limit, pixels = self.score.name, self.score.threshold, to_pixels(clean)
        objective = wrong_and_accepted_objective(
            self.target.classifier, name, labels, threshold=limit
        )
        if surrogate := self.target.surrogate:
            source = wrong_and_accepted_objective(surrogate, name, labels, threshold=limit)
            attacked = self._attack_black_box(surrogate, objective, source, pixels, generator)
        else:
            attacked = run_end_to_end_attack(
                self.suite.ascent.end_to_end, objective, pixels, self.suite.budgets, generator
            )
        return self._results(clean, attacked, steps=steps, set_name=None)

    def _attack_black_box(
        self,
        surrogate: DistilledSurrogate,
        objective: AttackObjective,
        source: AttackObjective,
        pixels: Tensor,
        generator: torch.Generator,
    ) -> Iterator[tuple[float, Tensor]]:
        return run_black_box_attack(
            self.suite.ascent.steps,
            objective,
            source,
            pixels,
            self.suite.budgets,
            generator,
            surrogate=surrogate,
        )

    def _part(
        self,
        name: str,
        generator: torch.Generator,
        measure: Callable[[], list[AttackResult]],
        steps: int,
    ) -> list[AttackResult]:
        before = self.partial.restored
        results = self.partial.batch(f"{self.score.name} {name}", generator, measure)
        if self.partial.restored > before:
            self.observer.advance(steps)
        return results

    def _results(
        self,
        clean: Tensor,
        attacked: Iterator[tuple[float, Tensor]],
        *,
        steps: int,
        set_name: str | None,
    ) -> list[AttackResult]:
        """Evaluate the images of each epsilon; `steps` is the number for all of them."""
        results = []
        with frozen(self.target.classifier):
            for epsilon, pixels in attacked:
                results.append(
                    attack_result(
                        self.target, self.score, clean, epsilon, pixels, set_name=set_name
                    )
                )
                self.observer.advance(steps // len(self.suite.budgets))
        return results

    def _generator(self) -> torch.Generator:
        return torch.Generator().manual_seed(self.suite.seed)
