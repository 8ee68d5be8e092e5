"""Attack committed images until the shipped model accepts what it should reject.

    python tests/data/attacked/make.py

The attack is APGD with 50 steps within 8/255 on the graph of `models/pretrained/cifar10-aloe`.
Outliers (textures and hands of tests/data) are attacked towards acceptance, and four CIFAR-10
images of each class towards a wrong class that is accepted. The script replaces the images in this
folder by the twelve of each kind with the highest objectives. No test runs it.
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
from oodguard.training.attacks.attack_runner import to_uint8
from oodguard.training.attacks.base import AttackObjective
from oodguard.training.attacks.objectives import (
    acceptance_objectives,
    wrong_and_accepted_objective,
)
from oodguard.training.data.dataset import to_pixels
from oodguard.training.onnx_torch.classifier import BundleClassifier, bundle_classifier
from oodguard.training.scoring.network import frozen

HERE = Path(__file__).resolve().parent
BUNDLE = HERE.parents[2] / "models" / "pretrained" / "cifar10-aloe"
EPSILON = 8 / 255
IMAGES = 12
SEED = 20261


def read(files: list[Path]) -> Tensor:
    """Return the images as uint8 `(n, H, W, 3)`."""
    return torch.from_numpy(np.stack([np.asarray(Image.open(file)) for file in files]))


def strongest(
    objective: AttackObjective, images: Tensor
) -> tuple[NDArray[np.intp], NDArray[np.uint8]]:
    """Attack `images`; return the rows with the highest objectives and their attacked pixels."""
    attack = Apgd(epsilon=EPSILON, steps=50)
    attacked = attack(objective, to_pixels(images), torch.Generator().manual_seed(SEED))
    pixels = to_uint8(attacked, images, EPSILON)
    with torch.no_grad():
        values = objective(to_pixels(torch.from_numpy(pixels)), torch.arange(len(images)))
    rows = np.sort(np.argsort(values.numpy())[-IMAGES:])
    return rows, pixels[rows]


def save(kind: str, files: list[Path], objective: AttackObjective) -> None:
    """Attack the images of `files` and replace those of the folder `kind`."""
    folder = HERE / kind
    folder.mkdir(exist_ok=True)
    for old in folder.glob("*.png"):
        old.unlink()
    rows, pixels = strongest(objective, read(files))
    for row, image in zip(rows, pixels, strict=True):
        name = f"{files[row].parent.name}-{files[row].name}"
        Image.fromarray(image).save(folder / name, optimize=True)


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
    wrong_and_accepted = wrong_and_accepted_objective(classifier, score, labels, threshold=limit)
    with frozen(classifier):
        save("outliers", outliers, acceptance_objectives(classifier, score)[0])
        save("inliers", inliers, wrong_and_accepted)


if __name__ == "__main__":
    main()
