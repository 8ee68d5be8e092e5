"""The honest table: a guard measured clean and under attack, at the threshold that it serves."""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from oodguard.models.calibrated_model import RunGraph
from oodguard.models.decision import Policy
from oodguard.models.errors import RecipeError
from oodguard.training.attacks.objectives import wrong_and_accepted_objectives
from oodguard.training.config.recipe import evaluation_sources
from oodguard.training.config.suites import Suite
from oodguard.training.data.dataset import ImageSet, load, to_pixels
from oodguard.training.evaluation.attack_runner import (
    run_attack,
    run_end_to_end_attack,
    whole_pixels,
)
from oodguard.training.evaluation.attack_trials import AttackTrials, run_attack_trials
from oodguard.training.evaluation.masking_checks import run_masking_checks
from oodguard.training.evaluation.results import (
    AttackResult,
    Predictions,
    ScoreEvaluation,
    evidence,
    joined_answers,
    score_result,
)
from oodguard.training.evaluation.target import EvaluationTarget, ScoreUnderTest, values
from oodguard.training.provenance import command, hardware
from oodguard.training.report.model import (
    Condition,
    EvaluationEvidence,
    FalseAccept,
    Report,
    ScoreResult,
)
from oodguard.training.scoring.graph import ScoredClassifier
from oodguard.training.scoring.network import frozen
from oodguard.training.scoring.parity import in_batches

WORST = 4  # false accepts kept of each set and budget

Advance = Callable[[int], None]
"""Hears how many gradient steps of one image were made."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Evaluator:
    """A classifier, one of its scores, and the suite that it goes through.

    `serve` runs the graph as it is served. Images go through in batches, each through all budgets,
    so that memory does not grow with their number.
    """

    classifier: ScoredClassifier
    judged: ScoreUnderTest
    suite: Suite
    serve: RunGraph
    classes: tuple[str, ...]
    advance: Advance

    def inliers(self, images: ImageSet) -> tuple[AttackResult, ...]:
        """Push in-distribution images towards rejection; one result a budget, the clean first."""
        return self._through(images, outliers=False)

    def outliers(self, images: ImageSet) -> tuple[AttackResult, ...]:
        """Push outliers towards acceptance; one result a budget, the clean first."""
        return self._through(images, outliers=True)

    def end_to_end(self, images: ImageSet) -> tuple[AttackResult, ...]:
        """Push in-distribution images to a wrong class that is accepted; a result a budget > 0."""
        generator = self._generator()
        ascent, budgets = self.suite.ascent, self.suite.budgets_255

        def rounds() -> Iterator[list[AttackResult]]:
            for part, pixels, labels in _batches(images):
                goal = wrong_and_accepted_objectives(
                    self.classifier, self.judged.name, labels, threshold=self.judged.threshold
                )[0]
                pushed = run_end_to_end_attack(ascent.end_to_end, goal, pixels, budgets, generator)
                yield self._rounds(part, pushed, steps=ascent.end_to_end, name=None)

        return _joined(rounds())

    def _through(self, images: ImageSet, *, outliers: bool) -> tuple[AttackResult, ...]:
        ascent, generator = self.suite.ascent, self._generator()
        goals = self.judged.accepted if outliers else (self.judged.rejected,)
        left = ascent.targeted  # images of the set that are yet to be aimed at classes

        def rounds() -> Iterator[list[AttackResult]]:
            nonlocal left
            for part, pixels, _ in _batches(images):
                pushed = run_attack(
                    ascent,
                    goals,
                    pixels,
                    self.suite.budgets_255,
                    generator,
                    targeted=min(left, len(pixels)),
                )
                name = images.name if outliers else None
                clean = [self._judge(part, 0.0, pixels, name=None)]
                yield clean + self._rounds(part, pushed, steps=ascent.steps, name=name)
                left = max(left - len(pixels), 0)

        return _joined(rounds())

    def _rounds(
        self, part: Tensor, pushed: Iterator[tuple[float, Tensor]], *, steps: int, name: str | None
    ) -> list[AttackResult]:
        found = []
        with frozen(self.classifier):
            for epsilon_255, moved in pushed:
                found.append(self._judge(part, epsilon_255, moved, name=name))
                self.advance(len(part) * steps)
        return found

    def _judge(
        self, part: Tensor, epsilon_255: float, moved: Tensor, *, name: str | None
    ) -> AttackResult:
        with torch.no_grad():
            classes = self.classifier.features_and_logits(moved)[1].argmax(1)
        scores = values(self.judged, moved)
        answers = Predictions(scores=scores.numpy(), classes=classes.numpy())
        return AttackResult(
            epsilon_255=epsilon_255,
            answers=answers,
            replayed=self._replayed(part, epsilon_255, moved),
            worst=self._worst(part, epsilon_255, moved, answers, name) if name else (),
        )

    def _replayed(self, part: Tensor, epsilon_255: float, moved: Tensor) -> Predictions | None:
        if self.judged.column is None:
            return None
        logits, scores = self.serve(whole_pixels(moved, part, epsilon_255))
        return Predictions(scores=scores[:, self.judged.column], classes=logits.argmax(axis=1))

    def _worst(
        self, part: Tensor, epsilon_255: float, moved: Tensor, answers: Predictions, name: str
    ) -> tuple[FalseAccept, ...]:
        lowest = np.argsort(answers.scores, kind="stable")[:WORST]
        rows = [row for row in lowest if answers.scores[row] <= self.judged.threshold]
        clean = values(self.judged, to_pixels(part[rows])) if rows else torch.empty(0)
        return tuple(
            FalseAccept(
                set_name=name,
                epsilon_255=epsilon_255,
                clean=part[row].numpy(),
                attacked=moved[row].permute(1, 2, 0).numpy(),
                clean_score=float(before),
                score=float(answers.scores[row]),
                predicted_class=self.classes[answers.classes[row]],
            )
            for row, before in zip(rows, clean, strict=True)
        )

    def _generator(self) -> torch.Generator:
        return torch.Generator().manual_seed(self.suite.seed)


def _batches(images: ImageSet) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    parts = zip(images.images.split(BATCH), images.labels.split(BATCH), strict=True)
    for part, labels in parts:
        yield part, to_pixels(part), labels


def _joined(rounds: Iterator[list[AttackResult]]) -> tuple[AttackResult, ...]:
    """Join the batches' results, budget by budget."""
    return tuple(_as_one(list(parts)) for parts in zip(*rounds, strict=True))


def _as_one(parts: list[AttackResult]) -> AttackResult:
    replayed = [part.replayed for part in parts if part.replayed is not None]
    worst = sorted((case for part in parts for case in part.worst), key=lambda case: case.score)
    return replace(
        parts[0],
        answers=joined_answers([part.answers for part in parts]),
        replayed=joined_answers(replayed) if replayed else None,
        worst=tuple(worst[:WORST]),
    )


BATCH = 250

REPLAYED_BY = "ONNX Runtime"


class EvaluationObserver(Protocol):
    """What an evaluation tells while it goes on."""

    def start(self, steps: int) -> None:
        """It begins; `steps` gradient steps of one image are to be made."""

    def tell(self, what: str) -> None:
        """Say what is measured now."""

    def advance(self, steps: int) -> None:
        """So many gradient steps of one image were made."""


def evaluate(  # noqa: PLR0913  (what is measured, and how)
    subject: EvaluationTarget,
    *,
    suite: Suite,
    policy: Policy,
    watcher: EvaluationObserver,
    beside: tuple[str, ...] = (),
    twin: EvaluationTarget | None = None,
) -> tuple[Report, EvaluationEvidence]:
    """Measure a run or bundle on its recipe's evaluation sets, by the score that decides first.

    In-distribution images are attacked towards rejection and outliers towards acceptance, each
    within the same L-infinity budget in [0, 1] pixel space, in float32 and evaluation mode.
    `beside` names scores that are measured as well; attacks on `twin`, as a rule the undefended
    one, are tried on the subject.

    Raises:
        RecipeError: there is no such score, or a data set cannot be read.
        CalibrationError: too few calibration images for the policy.
    """
    began = time.perf_counter()
    if policy.score not in subject.calibration:
        raise RecipeError(
            f"score: came {policy.score!r}, wanted one of {', '.join(subject.calibration)}"
        )
    names = tuple(dict.fromkeys((policy.score, *beside)))
    judged = [subject.judged(name, policy) for name in names]
    whole, inside, outside = _images(subject, suite)
    watcher.start(_steps(suite, inside, outside, scores=len(names)))
    findings = []
    for index, score in enumerate(judged):
        bench = Evaluator(
            classifier=subject.classifier,
            judged=score,
            suite=suite,
            serve=subject.serve,
            classes=subject.classes,
            advance=watcher.advance,
        )
        findings.append(_findings(bench, inside, outside, watcher, decides=index == 0))
    results = tuple(score_result(each, seed=suite.seed) for each in findings)
    watcher.tell("is the attack any good?")
    soundings = _soundings(subject, judged[0], suite, results[0], inside, outside, twin)
    return Report(
        name=subject.name,
        measured=subject.measured,
        suite=suite,
        test_set=whole.name,
        alpha=policy.alpha,
        delta=policy.delta,
        calibration_images=subject.calibration_images,
        accuracy=_accuracy(subject, whole),
        accuracy_images=len(whole),
        results=results,
        trust=run_masking_checks(soundings),
        replayed_by=REPLAYED_BY,
        recipe=subject.recipe_text,
        duration_s=time.perf_counter() - began,
        hardware=hardware(),
        command=command(),
    ), evidence(findings[0])


def _images(
    subject: EvaluationTarget, suite: Suite
) -> tuple[ImageSet, ImageSet, dict[str, ImageSet]]:
    """Return the whole test set, the part of it that is attacked, and the outliers by name."""
    recipe = subject.recipe
    test_source, outlier_sources = evaluation_sources(recipe)
    test = load(test_source, recipe.input)
    if test.classes != subject.classes:
        raise RecipeError(
            f"evaluation.test: came classes {list(test.classes)}, wanted those of the inliers,"
            f" {list(subject.classes)}"
        )
    outside = {
        name: load(source, recipe.input).subset(slice(suite.outlier_images))
        for name, source in outlier_sources.items()
    }
    return test, test.subset(slice(suite.test_images)), outside


def _findings(
    bench: Evaluator,
    inside: ImageSet,
    outside: Mapping[str, ImageSet],
    watcher: EvaluationObserver,
    *,
    decides: bool,
) -> ScoreEvaluation:
    def told(images: ImageSet, name: str) -> ImageSet:
        watcher.tell(f"{bench.judged.name}: {name}")
        return images

    tried = decides and bench.suite.ascent.end_to_end > 0
    return ScoreEvaluation(
        score=bench.judged.name,
        threshold=bench.judged.threshold,
        labels=inside.labels.numpy(),
        inliers=bench.inliers(told(inside, inside.name)),
        outliers={name: bench.outliers(told(each, name)) for name, each in outside.items()},
        end_to_end=bench.end_to_end(told(inside, f"{inside.name}, end to end")) if tried else (),
    )


def _soundings(  # noqa: PLR0913  (what is sounded, and on what)
    subject: EvaluationTarget,
    judged: ScoreUnderTest,
    suite: Suite,
    result: ScoreResult,
    inside: ImageSet,
    outside: Mapping[str, ImageSet],
    twin: EvaluationTarget | None,
) -> AttackTrials:
    by_epsilon = {each.epsilon_255: each.mean_auroc for each in result.conditions}
    if suite.trials.images == 0 or not suite.budgets_255:
        return AttackTrials.of_budgets(by_epsilon)
    share = -(-suite.trials.images // len(outside))
    few = torch.cat([each.images[:share] for each in outside.values()])[: suite.trials.images]
    return run_attack_trials(
        subject.classifier,
        judged.name,
        to_pixels(inside.images[: suite.trials.images]),
        to_pixels(few),
        suite=suite,
        budget_255=_sounded_budget(subject, result.conditions),
        by_epsilon=by_epsilon,
        twin=(twin.classifier, twin.default_score) if twin else None,
        generator=torch.Generator().manual_seed(suite.seed),
    )


def _sounded_budget(subject: EvaluationTarget, conditions: tuple[Condition, ...]) -> float:
    """Return the budget that the run was hardened at, else the weakest: where there is most left.

    Where the attack has everything already, nothing tells a good one from a bad one.
    """
    attacked = [condition.epsilon_255 for condition in conditions if condition.epsilon_255]
    attack = subject.recipe.attack
    hardened = attack.epsilon_255 if attack else attacked[0]
    return hardened if hardened in attacked else attacked[0]


def _steps(suite: Suite, inside: ImageSet, outside: Mapping[str, ImageSet], *, scores: int) -> int:
    images = len(inside) + sum(len(each) for each in outside.values())
    once = images * suite.ascent.steps * scores + len(inside) * suite.ascent.end_to_end
    return once * len(suite.budgets_255)


def _accuracy(subject: EvaluationTarget, test: ImageSet) -> float:
    logits, _ = in_batches(subject.serve, test.images.numpy(), BATCH)
    return float((logits.argmax(axis=1) == test.labels.numpy()).mean())
