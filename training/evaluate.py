"""The honest table: a guard measured clean and under attack, at the threshold that it serves."""

import time
from collections.abc import Mapping
from typing import Protocol

import torch

from models.decision import Policy
from models.errors import RecipeError
from training.data import ImageSet, load, to_pixels
from training.evaluation_sources import evaluation_sources
from training.evidence import Evidence
from training.measuring.bench import Bench
from training.measuring.judged import Judged
from training.measuring.results import Findings, evidence, score_result
from training.measuring.subject import Subject
from training.parity import in_batches
from training.provenance import command, hardware
from training.report import Condition, Report, ScoreResult
from training.soundings import Soundings, sound
from training.suite import Suite
from training.trust import trust

BATCH = 250
REPLAYED_BY = "ONNX Runtime"


class Watcher(Protocol):
    """What an evaluation tells while it goes on."""

    def start(self, steps: int) -> None:
        """It begins; `steps` gradient steps of one image are to be made."""

    def tell(self, what: str) -> None:
        """Say what is measured now."""

    def advance(self, steps: int) -> None:
        """So many gradient steps of one image were made."""


def evaluate(  # noqa: PLR0913  (what is measured, and how)
    subject: Subject,
    *,
    suite: Suite,
    policy: Policy,
    watcher: Watcher,
    beside: tuple[str, ...] = (),
    twin: Subject | None = None,
) -> tuple[Report, Evidence]:
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
        bench = Bench(
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
        trust=trust(soundings),
        replayed_by=REPLAYED_BY,
        recipe=subject.recipe_text,
        duration_s=time.perf_counter() - began,
        hardware=hardware(),
        command=command(),
    ), evidence(findings[0])


def _images(subject: Subject, suite: Suite) -> tuple[ImageSet, ImageSet, dict[str, ImageSet]]:
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
    bench: Bench,
    inside: ImageSet,
    outside: Mapping[str, ImageSet],
    watcher: Watcher,
    *,
    decides: bool,
) -> Findings:
    def told(images: ImageSet, name: str) -> ImageSet:
        watcher.tell(f"{bench.judged.name}: {name}")
        return images

    tried = decides and bench.suite.ascent.end_to_end > 0
    return Findings(
        score=bench.judged.name,
        threshold=bench.judged.threshold,
        labels=inside.labels.numpy(),
        inliers=bench.inliers(told(inside, inside.name)),
        outliers={name: bench.outliers(told(each, name)) for name, each in outside.items()},
        end_to_end=bench.end_to_end(told(inside, f"{inside.name}, end to end")) if tried else (),
    )


def _soundings(  # noqa: PLR0913  (what is sounded, and on what)
    subject: Subject,
    judged: Judged,
    suite: Suite,
    result: ScoreResult,
    inside: ImageSet,
    outside: Mapping[str, ImageSet],
    twin: Subject | None,
) -> Soundings:
    by_epsilon = {each.epsilon_255: each.mean_auroc for each in result.conditions}
    if suite.trials.images == 0 or not suite.budgets_255:
        return Soundings.of_budgets(by_epsilon)
    share = -(-suite.trials.images // len(outside))
    few = torch.cat([each.images[:share] for each in outside.values()])[: suite.trials.images]
    return sound(
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


def _sounded_budget(subject: Subject, conditions: tuple[Condition, ...]) -> float:
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


def _accuracy(subject: Subject, test: ImageSet) -> float:
    logits, _ = in_batches(subject.serve, test.images.numpy(), BATCH)
    return float((logits.argmax(axis=1) == test.labels.numpy()).mean())
