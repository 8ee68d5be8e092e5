"""Recommendations on the recipe for a low accuracy or a too large training epsilon."""

import tomllib
from collections.abc import Iterator
from typing import Any

from oodguard.models.counts import count_of
from oodguard.models.records import WRAPPED
from oodguard.training.report.classes import weakest_classes
from oodguard.training.report.markdown import percent
from oodguard.training.report.model import Condition, Report

LOW_ACCURACY = 0.8

LOW_ATTACKED_AUROC = 0.55
"""At this mean AUROC, both sides attacked, the ranking is near chance."""

OVERFITTING = 0.1
"""The test accuracy is this much lower than the training accuracy."""

LARGE_SHARE = 0.2
"""Of all errors, of one pair of classes."""

MANY_STEPS_255 = 4
"""Above this epsilon one attack step is too weak."""


def remedies(report: Report) -> tuple[str, ...]:
    """Return sentences that state a cause and what to change; empty if nothing is wrong.

    They concern the recipe, so a report without one, of a wrapped classifier, or of a run that is
    not finished has none.
    """
    recipe = tomllib.loads(report.recipe)
    unfinished = report.finished_epochs is not None
    if "schedule" not in recipe or report.method == WRAPPED or unfinished:
        return ()
    low = report.accuracy < LOW_ACCURACY
    return (
        *(_low_accuracy(report, recipe) if low else ()),
        *_large_epsilon(report, recipe, low=low),
    )


def _low_accuracy(report: Report, recipe: dict[str, Any]) -> Iterator[str]:
    test, training = report.accuracy, report.training_accuracy
    epochs = recipe["schedule"].get("epochs", 1)
    pretrained = (
        ""
        if recipe.get("network", {}).get("weights")
        else (", or start from pretrained weights (network.weights)")
    )
    if training is not None and training < LOW_ACCURACY:
        attacked = ", as they were attacked," if "attack" in recipe else ""
        yield (
            f"The accuracy on the training images{attacked} is only {percent(training)}:"
            " the network has not learned them. Train longer"
            f" (schedule.epochs = {2 * epochs}), use a larger network{pretrained}."
        )
    elif training is not None and training > test + OVERFITTING:
        yield (
            f"The training accuracy is {percent(training)} and the test accuracy {percent(test)}:"
            f" the network memorizes the training images. Add images, set inliers.distort = 0.5"
            f"{pretrained}."
        )
    else:
        yield (
            f"The test accuracy is {percent(test)}. Add images of the classes with the lowest"
            f" accuracy, use a larger network{pretrained}."
        )
    yield from _confused_pair(report)


def _confused_pair(report: Report) -> Iterator[str]:
    errors = sum(each.images - each.correct for each in report.classes)
    pairs = [
        (count, each.name, other)
        for each in weakest_classes(report)
        for other, count in each.confused.items()
    ]
    count, name, other = max(pairs, default=(0, "", ""))
    if len(report.classes) > 2 and errors and count >= LARGE_SHARE * errors:
        yield (
            f"{name!r} is predicted as {other!r} in {count:,} of {count_of(errors, 'error')}."
            " Check the labels of these two classes, add images of them, or merge them."
        )


def _large_epsilon(report: Report, recipe: dict[str, Any], *, low: bool) -> Iterator[str]:
    attack = recipe.get("attack")
    at = _trained_condition(report, attack)
    if at is None or attack is None:
        return
    epsilon, auroc = at.epsilon_255, at.mean_auroc
    if not low and auroc > LOW_ATTACKED_AUROC:
        return
    ramp = "" if attack.get("ramp") else ", set attack.ramp = 0.3"
    steps = attack.get("steps", 1)
    more = (
        f", set attack.steps = {2 * steps}"
        if epsilon > MANY_STEPS_255 and attack.get("kind", "pgd") == "pgd"
        else ""
    )
    if auroc <= LOW_ATTACKED_AUROC:
        yield (
            f"The network is hardened at {epsilon:g}/255, and an attack within it still reduces the"
            f" mean AUROC to {auroc:.3f}: this epsilon is too large for this network and these"
            f" images. Set attack.epsilon_255 = {epsilon / 2:g}{ramp}{more}, or use a larger"
            " network and more images."
        )
    else:
        yield (
            f"Hardening at {epsilon:g}/255 costs accuracy. Compare with attack.epsilon_255 ="
            f' {epsilon / 2:g}{ramp}{more}. A run with method = "standard" shows the accuracy'
            " without hardening."
        )


def _trained_condition(report: Report, attack: dict[str, Any] | None) -> Condition | None:
    """Return the condition at the epsilon of training, if the suite has it."""
    trained = attack.get("epsilon_255") if attack else None
    return next((c for c in report.conditions if c.epsilon_255 and c.epsilon_255 == trained), None)
