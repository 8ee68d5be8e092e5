"""Try other preprocessings and class orders on a few images, to find the cause of low accuracy."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from oodguard.models.frozen_model import FrozenModel
from oodguard.training.report.metrics import wilson_interval
from oodguard.training.wrap.input import PRESETS, Normalization, PixelTransform

MOST_IMAGES = 100
FEWEST_IMAGES = 20
"""A classifier that is too slow for all images in all variants is tried on fewer of them."""

TIME_LIMIT_S = 20.0
"""No further variant is tried after this time."""

Classes = NDArray[np.int64]
Predict = Callable[[PixelTransform, int], Classes]
"""A preprocessing and a number n to the predicted classes `(n,)` of the first images."""

GIVEN = "as given"
TEXT_ORDER = "sorted as text"
BEST_ORDER = "in the best order"


class TriedPixels(FrozenModel):
    """One preprocessing, and the accuracy of its predictions by the order of the classes."""

    options: str
    accuracies: dict[str, float]


class Trials(FrozenModel):
    """All preprocessings that were tried; the first is the given one.

    `untried` is the number of those for which there was no time. `order` are the classes in the
    order of the outputs that fits the best preprocessing, if that order is significantly better
    than the given one; the positions of the classes `unplaced`, without tried images, are not
    known.
    """

    images: int
    duration_s: float = 0.0
    tried: tuple[TriedPixels, ...]
    untried: int = 0
    order: tuple[str, ...] = ()
    unplaced: tuple[str, ...] = ()

    @property
    def best(self) -> tuple[str, str, float]:
        """The options, the order and the accuracy of the best combination.

        Among equal ones the given order of classes is preferred, then the first options.
        """
        return max(
            (
                (tried.options, order, accuracy)
                for tried in self.tried
                for order, accuracy in tried.accuracies.items()
            ),
            key=lambda each: (each[2], each[1] == GIVEN),
        )

    @property
    def best_change(self) -> str:
        """The difference between the best and the given combination, in words."""
        options, order, _ = self.best
        return " and ".join(each for each in (options, f"classes {order}") if GIVEN not in each)

    @property
    def is_improved(self) -> bool:
        """Whether the Wilson intervals of the best and the given combination are disjoint."""
        given = self.tried[0].accuracies[GIVEN]
        high = wilson_interval(given, self.images).high
        return wilson_interval(self.best[2], self.images).low > high


def run_trials(
    predict: Predict,
    transform: PixelTransform,
    labels: Classes,
    classes: Sequence[str],
    *,
    limit_s: float = TIME_LIMIT_S,
) -> Trials:
    """Predict the same images with other channel orders and normalizations.

    `labels` `(n,)` are positions in `classes`, which are in the assumed order of the outputs.
    """
    started = time.monotonic()
    variants = dict(_variants(transform))
    count = min(len(labels), FEWEST_IMAGES)
    predict(transform, count)
    fitting = limit_s * count / (len(variants) * max(time.monotonic() - started, 1e-6))
    count = min(len(labels), max(count, int(fitting)))
    tried: dict[str, Classes] = {}
    for options, variant in variants.items():
        tried[options] = predict(variant, count)
        if time.monotonic() - started > limit_s:
            break
    labels = labels[:count]
    trials = Trials(
        images=count,
        duration_s=time.monotonic() - started,
        tried=tuple(
            TriedPixels(options=options, accuracies=_accuracies(found, labels, classes))
            for options, found in tried.items()
        ),
        untried=len(variants) - len(tried),
    )
    options, order, _ = trials.best
    if order == GIVEN or not trials.is_improved:
        return trials
    if order == TEXT_ORDER:
        return trials.model_copy(update={"order": tuple(sorted(classes))})
    outputs = _matched_outputs(tried[options], labels, len(classes))
    names = tuple(classes[each] for each in np.argsort(outputs))
    unplaced = tuple(name for at, name in enumerate(classes) if at not in labels)
    return trials.model_copy(update={"order": names, "unplaced": unplaced})


def images_to_try(labels: Classes) -> NDArray[np.int64]:
    """Return the indices of up to 100 images with these labels `(n,)`, of the classes in turn."""
    order = np.argsort(labels, kind="stable")
    _, starts, counts = np.unique(labels[order], return_index=True, return_counts=True)
    rank = np.empty(len(labels), np.int64)  # of an image within its class
    rank[order] = np.arange(len(labels)) - np.repeat(starts, counts)
    return np.argsort(rank, kind="stable")[:MOST_IMAGES]


def _variants(transform: PixelTransform) -> Iterator[tuple[str, PixelTransform]]:
    """Yield the given preprocessing, then the others with the options that select them."""
    given = transform.normalization
    yield GIVEN, transform
    rules = {"": given}
    if not transform.is_integer:
        rules |= {"--scale 255": Normalization(), "--scale 1": Normalization(scale=1.0)}
        rules |= {f"--preset {name}": rule for name, rule in PRESETS.items()}
    if transform.channels == 1:
        rules = {name: rule for name, rule in rules.items() if len(set(rule.mean)) == 1}
    seen = {given}
    for name, rule in rules.items():
        for order in ("rgb", "bgr") if transform.channels == 3 else (rule.channel_order,):
            variant = replace(rule, channel_order=order)
            if variant not in seen:
                seen.add(variant)
                yield (
                    f"{name} --channel-order {order}".strip(),
                    transform.with_normalization(variant),
                )


def _accuracies(found: Classes, labels: Classes, classes: Sequence[str]) -> dict[str, float]:
    accuracies = {GIVEN: float((found == labels).mean())}
    as_text = sorted(classes)
    if as_text != list(classes):
        positions = np.array([as_text.index(name) for name in classes])
        accuracies[TEXT_ORDER] = float((found == positions[labels]).mean())
    accuracies[BEST_ORDER] = _accuracy_of_best_order(found, labels, len(classes))
    return accuracies


def _accuracy_of_best_order(found: Classes, labels: Classes, classes: int) -> float:
    """Return the accuracy with the outputs in the order that fits best.

    The order is found on one half of the images and measured on the other, and vice versa: with
    many classes and few images an order that fits exists for any predictions.
    """
    # Alternating within each class, so that both halves have images of every class.
    odd = np.zeros(len(labels), np.bool_)
    odd[np.argsort(labels, kind="stable")[1::2]] = True
    right = 0
    for half in (odd, ~odd):
        outputs = _matched_outputs(found[half], labels[half], classes)
        right += int((outputs[labels[~half]] == found[~half]).sum())
    return right / len(labels)


def _matched_outputs(found: Classes, labels: Classes, classes: int) -> Classes:
    """Return for each class the output that it is matched with, `(K,)`; each is used once.

    The assignment maximizes the number of images whose predicted output is that of their class:
    Kuhn 1955, by SciPy. Among equal ones it keeps the given order.
    """
    counts = np.zeros((classes, classes))
    np.add.at(counts, (labels, found), 1)
    counts[np.arange(classes), np.arange(classes)] += 0.5 / len(labels)
    return np.asarray(linear_sum_assignment(counts, maximize=True)[1], np.int64)
