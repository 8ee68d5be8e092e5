"""Compare the speed of this project's APGD with torchattacks' at equal steps.

    python -m benchmarks.attacks [--bundle models/pretrained/cifar10-aloe] [--rounds 5]
        [--epsilon-255 2] [--steps 20] [--images 100]

Both implementations attack the same images through the same logits `[0, k (s - tau)]` of a bundle's
score s at its served threshold tau: CIFAR-10 images towards rejection, textures and other outliers
towards acceptance. The images are those of tests/data, repeated if more are selected. In the first
two rows all images run to the end. In the last two, torchattacks leaves out the images that are
successfully attacked at the start, and this project's APGD also those that succeed in between. The
last column is the success rate. On one thread; rounds interleave all rows and measure CPU time;
ratios are taken within a round, then their median.
"""

import argparse
import statistics
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torchattacks
from PIL import Image
from rich.console import Console
from rich.table import Table
from torch import Tensor

from benchmarks.training import timing
from benchmarks.two_logits import ACCEPTED, REJECTED, TwoLogits
from oodguard.models.bundle import open_bundle
from oodguard.models.decision import Policy, threshold
from oodguard.training.attacks.apgd import Apgd
from oodguard.training.attacks.base import AttackObjective
from oodguard.training.attacks.objectives import (
    acceptance_objectives,
    rejection_objective,
    surrogate,
)
from oodguard.training.data.dataset import to_pixels
from oodguard.training.onnx_torch.classifier import bundle_classifier
from oodguard.training.scoring.network import frozen

DATA = Path(__file__).parents[1] / "tests" / "data"
SHIPPED = Path(__file__).parents[1] / "models" / "pretrained"
BUNDLES = [SHIPPED / "cifar10-standard", SHIPPED / "cifar10-aloe"]
Attacked = Callable[[], Tensor]

INLIERS, OUTLIERS = ("cifar10",), ("textures", "cifar100", "hands", "outliers")

THEIRS_TO_THE_END, OURS_TO_THE_END = "torchattacks, all to the end", "ours, all to the end"
THEIRS, OURS = "torchattacks", "ours, successful images leave"
BASELINES = {
    THEIRS_TO_THE_END: THEIRS_TO_THE_END,
    OURS_TO_THE_END: THEIRS_TO_THE_END,
    THEIRS: THEIRS,
    OURS: THEIRS,
}
"""The timed rows, and the row with which each is compared."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Side:
    """Images `(n, 3, H, W)` of one side, and the attack on them in both libraries' terms.

    An attack succeeded if the `objective` is at least `target`. For torchattacks, the images have
    the class `label` of the `wrapper`, and an attack succeeded if another class is predicted.
    """

    name: str
    images: Tensor
    objective: AttackObjective
    target: float
    wrapper: TwoLogits
    label: int

    def success_rate(self, attacked: Tensor) -> float:
        """Return the share of the attacked images on which the attack succeeded."""
        with torch.no_grad():
            values = self.objective(attacked, torch.arange(len(attacked)))
        return (values >= self.target).float().mean().item()


def read_images(folders: tuple[str, ...], count: int) -> Tensor:
    """Read `count` images of folders of tests/data, evenly over them; repeat images if needed."""
    paths = sorted(path for folder in folders for path in (DATA / folder).rglob("*.png"))
    indices = np.arange(count) * max(len(paths) // count, 1) % len(paths)
    images = [np.array(Image.open(paths[index])) for index in indices]
    return to_pixels(torch.from_numpy(np.stack(images)))


def sides(folder: Path, *, images: int) -> tuple[Side, Side]:
    """Return both directions of an attack on a bundle's default score."""
    bundle = open_bundle(folder)
    score = bundle.manifest.default_score
    limit = threshold(bundle.calibration[score], Policy(score=score))
    classifier = bundle_classifier(bundle)
    wrapper = TwoLogits(classifier, score, threshold=limit, scale=1.0)
    at_limit = surrogate(classifier, score).transform(limit)
    inliers = Side(
        name="inliers to rejected",
        images=read_images(INLIERS, images),
        objective=rejection_objective(classifier, score),
        target=at_limit,
        wrapper=wrapper,
        label=ACCEPTED,
    )
    outliers = Side(
        name="outliers to accepted",
        images=read_images(OUTLIERS, images),
        objective=acceptance_objectives(classifier, score)[0],
        target=-at_limit,
        wrapper=wrapper,
        label=REJECTED,
    )
    return inliers, outliers


def rows(side: Side, *, epsilon: float, steps: int) -> dict[str, Attacked]:
    """Return the timed attacks by name, as calls that return the attacked images."""
    theirs = torchattacks.APGD(side.wrapper, eps=epsilon, steps=steps)
    labels = torch.full((len(side.images),), side.label)

    def ours(stop_at: float | None) -> Tensor:
        attack = Apgd(epsilon=epsilon, steps=steps, stop_at=stop_at)
        with frozen(side.wrapper):
            return attack(side.objective, side.images, torch.Generator().manual_seed(0))

    return {
        THEIRS_TO_THE_END: lambda: theirs.perturb(side.images, labels, best_loss=True)[1],
        OURS_TO_THE_END: lambda: ours(None),
        THEIRS: lambda: theirs(side.images, labels),
        OURS: lambda: ours(side.target),
    }


def report(title: str, side: Side, attacks: dict[str, Attacked], *, rounds: int) -> Table:
    """Run every attack once for its success rate, then time it; return the table."""
    rates = {name: side.success_rate(attack()) for name, attack in attacks.items()}
    times = [{name: timing(attack) for name, attack in attacks.items()} for _ in range(rounds)]
    before = f"{side.success_rate(side.images):.0%} successful without an attack"
    table = Table(title=f"{title}: {side.name}", caption=f"{before}; median of {rounds} rounds")
    for column in ("", "images/s", "times torchattacks", "successful"):
        table.add_column(column, justify="right" if column else "left")
    for name, other in BASELINES.items():
        speed = len(side.images) / statistics.median(r[name] for r in times)
        ratio = statistics.median(r[other] / r[name] for r in times)
        table.add_row(name, f"{speed:.1f}", f"{ratio:.2f}", f"{rates[name]:.0%}")
    return table


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--bundle", type=Path, action="append")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--epsilon-255", type=float, default=2.0)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--images", type=int, default=100)
    options = parser.parse_args()
    torch.set_num_threads(1)
    for folder in options.bundle or BUNDLES:
        for side in sides(folder, images=options.images):
            attacks = rows(side, epsilon=options.epsilon_255 / 255, steps=options.steps)
            title = f"{folder.name} at {options.epsilon_255:g}/255"
            Console().print(report(title, side, attacks, rounds=options.rounds))


if __name__ == "__main__":
    main()
