"""Attack the decision of a bundle on images: the attack of the Python API."""

from collections.abc import Sequence
from os import PathLike
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from oodguard.models.bundle import Bundle, open_bundle
from oodguard.models.decision import Policy
from oodguard.models.errors import UnsupportedImage
from oodguard.models.policy_thresholds import policy_thresholds
from oodguard.training.attacks.apgd import Apgd
from oodguard.training.attacks.attack_runner import to_uint8
from oodguard.training.attacks.objectives import (
    acceptance_objectives,
    wrong_and_accepted_objective,
)
from oodguard.training.data.dataset import to_pixels
from oodguard.training.onnx_torch.classifier import bundle_classifier
from oodguard.training.scoring.network import frozen

STEPS = 50
SEED = 20261126

Pixels = NDArray[np.uint8]


def attack_images(
    path: str | PathLike[str],
    images: Pixels,
    *,
    budget_255: int,
    labels: Sequence[str] | None = None,
) -> Pixels:
    """Return images that the attack APGD has changed, to be accepted wrongly by a bundle.

    Images without labels are out-of-distribution and are attacked towards acceptance; others are
    attacked towards a wrong class that is accepted. The decision is that of `Guard.open(path)`. The
    attack has the gradients of the bundle. It is the same for the same images.

    Args:
        path: The bundle folder.
        images: Pixels `(n, H, W, 3)` uint8 RGB, of the size that the model takes.
        budget_255: The largest change of a pixel value, from 1 to 255.
        labels: The true class of each image; None for out-of-distribution images.

    Returns:
        The attacked images, of the same shape. Whether an attack succeeded is for the guard to
        decide.

    Raises:
        BundleError: The bundle is invalid, or torch cannot run its graph.
        UnsupportedImage: The images have another shape or type.
        ValueError: The budget is out of range, or the labels are no classes of the bundle.
    """
    bundle = open_bundle(Path(path))
    spec, classes = bundle.manifest.input, list(bundle.manifest.classes)
    expected = (spec.height, spec.width, 3)
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[1:] != expected:
        raise UnsupportedImage(
            f"images has the type {images.dtype} and the shape {images.shape}, expected uint8 and"
            f" (n, {', '.join(map(str, expected))})"
        )
    if not 1 <= budget_255 <= 255:
        raise ValueError(f"budget_255 is {budget_255}, expected 1 to 255")
    if labels is None:
        return attack(bundle, images, None, budget_255)
    if len(labels) != len(images) or not set(labels) <= set(classes):
        raise ValueError(
            f"labels is {list(labels)}, expected {len(images)} of the classes {', '.join(classes)}"
        )
    return attack(bundle, images, [classes.index(label) for label in labels], budget_255)


def attack(bundle: Bundle, images: Pixels, labels: Sequence[int] | None, budget: int) -> Pixels:
    """Attack a bundle's decision on images `(n, H, W, 3)` within a budget in 255ths.

    Outliers, which have no labels, are attacked towards acceptance; other images towards a wrong
    class that is accepted.
    """
    classifier, policy = bundle_classifier(bundle), Policy(score=bundle.manifest.default_score)
    if labels is None:
        objective = acceptance_objectives(classifier, policy.score)[0]
    else:
        threshold = policy_thresholds(bundle, policy).single
        objective = wrong_and_accepted_objective(
            classifier, policy.score, torch.tensor(labels), threshold=threshold or 0.0
        )
    clean = torch.from_numpy(images.copy())  # torch warns of an array that is read-only
    apgd = Apgd(epsilon=budget / 255, steps=STEPS)
    with frozen(classifier):
        found = apgd(objective, to_pixels(clean), torch.Generator().manual_seed(SEED))
    return to_uint8(found, clean, budget / 255)
