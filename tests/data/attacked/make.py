"""Move committed pictures so that the shipped guard accepts what it should not.

    python tests/data/attacked/make.py

APGD, 50 steps within 8/255, on the graph of `models/pretrained/cifar10-aloe` itself: the textures
and hands beside this folder until they are accepted, and four pictures of each class of CIFAR-10
until they are taken for another class and accepted. Replaces the pictures beside this file, twelve
of each kind, those on which the attack got furthest. Tests never run it.
"""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from oodguard.models.bundle import open_bundle
from oodguard.models.decision import Policy, threshold
from oodguard.training.attacks.apgd import Apgd
from oodguard.training.attacks.base import AttackObjective
from oodguard.training.attacks.objectives import (
    acceptance_objectives,
    wrong_and_accepted_objectives,
)
from oodguard.training.data.dataset import to_pixels
from oodguard.training.evaluation.attack_runner import to_uint8
from oodguard.training.onnx_torch.classifier import BundleClassifier, bundle_classifier
from oodguard.training.scoring.network import frozen

HERE = Path(__file__).resolve().parent
BUNDLE = HERE.parents[2] / "models" / "pretrained" / "cifar10-aloe"
EPSILON_255 = 8.0
KEPT = 12
SEED = 20261


def read(files: list[Path]) -> Tensor:
    """Return the pictures as uint8 `(n, H, W, 3)`."""
    return torch.from_numpy(np.stack([np.asarray(Image.open(file)) for file in files]))


def furthest(
    goals: tuple[AttackObjective, ...], images: Tensor
) -> tuple[NDArray[np.intp], NDArray[np.uint8]]:
    """Attack `images`; return the rows where the first goal came highest, and their new pixels."""
    generator = torch.Generator().manual_seed(SEED)
    attack = Apgd(epsilon=EPSILON_255 / 255, steps=50)
    moved = attack(goals[0], to_pixels(images), generator)
    pixels = to_uint8(moved, images, EPSILON_255 / 255)
    with torch.no_grad():
        reached = goals[0](to_pixels(torch.from_numpy(pixels)), torch.arange(len(images)))
    rows = np.sort(np.argsort(reached.numpy())[-KEPT:])
    return rows, pixels[rows]


def save(kind: str, files: list[Path], goals: tuple[AttackObjective, ...]) -> None:
    """Attack the pictures of `files` and write what came of it."""
    folder = HERE / kind
    folder.mkdir(exist_ok=True)
    for old in folder.glob("*.png"):
        old.unlink()
    rows, pixels = furthest(goals, read(files))
    for row, picture in zip(rows, pixels, strict=True):
        name = f"{files[row].parent.name}-{files[row].name}"
        Image.fromarray(picture).save(folder / name, optimize=True)


def main() -> None:
    """Make both kinds."""
    bundle = open_bundle(BUNDLE)
    classifier: BundleClassifier = bundle_classifier(bundle)
    score = bundle.manifest.default_score
    limit = threshold(bundle.calibration[score], Policy(score=score))
    outliers = [*sorted((HERE.parent / "textures").glob("*.png"))]
    outliers += sorted((HERE.parent / "hands").glob("*.png"))
    inliers = [
        file
        for name in bundle.manifest.classes
        for file in sorted((HERE.parent / "cifar10" / name).glob("*.png"))[:4]
    ]
    labels = torch.tensor([bundle.manifest.classes.index(file.parent.name) for file in inliers])
    with frozen(classifier):
        save("outliers", outliers, acceptance_objectives(classifier, score))
        save(
            "inliers",
            inliers,
            wrong_and_accepted_objectives(classifier, score, labels, threshold=limit),
        )


if __name__ == "__main__":
    main()
