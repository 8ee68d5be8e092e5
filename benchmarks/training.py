"""Compare the speed of an ALOE training step with the paper's own code, and attribute the gain.

    python -m benchmarks.training [--rounds 5] [--network resnet14] [--network densenet-bc-100-12]

Both implementations train the same network on the same images with the same number of attack steps,
on one CPU thread. The reference is reimplemented in `benchmarks.aloe_reference`. Its habits are
switched off one after another, and the last row is a step of `oodguard-train fit`, with
augmentation, optimizer and average of the weights. Rounds interleave all rows, one step each, and
measure CPU time; ratios are taken within a round, then their median. The reference loads images in
a separate process; here the loading counts, and the row of the first habit shows its share.
"""

import argparse
import itertools
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import torch
from rich.console import Console
from rich.table import Table

from benchmarks.aloe_reference import EPSILON_255, OUTLIER_WEIGHT, STEPS, Habits, ReferenceStep
from oodguard.models.networks import build_network
from oodguard.training.config.recipe import parse_recipe
from oodguard.training.data.dataset import ImageSet
from oodguard.training.data.training_data import TrainingData
from oodguard.training.fit.trainer import StepResult, Trainer

Step = Callable[[], object]

CLASSES = tuple("abcdefghij")
BATCHES = 4  # of images in memory
OURS = "oodguard-train fit"
HABITS = {
    "image_by_image": "+ augment batches",
    "normalize_one_by_one": "+ normalize batches",
    "clean_pass": "+ no clean pass",
    "separate_attacks_in_training_mode": "+ one attack, fixed weights",
    "channels_first": "+ channels last",
    "float32": "+ bfloat16",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class NetworkSize:
    """A network and the number of images per step; a large network gets fewer."""

    name: str
    width: int | None
    inliers: int
    outliers: int


SIZES = {
    "resnet14": NetworkSize(name="resnet14", width=32, inliers=64, outliers=128),
    "densenet-bc-100-12": NetworkSize(
        name="densenet-bc-100-12", width=None, inliers=16, outliers=32
    ),
}


def images(count: int) -> ImageSet:
    """Return random images with random labels; the speed of a step does not depend on them."""
    generator = torch.Generator().manual_seed(count)
    return ImageSet(
        name="noise",
        images=torch.randint(256, (count, 32, 32, 3), dtype=torch.uint8, generator=generator),
        labels=torch.randint(len(CLASSES), (count,), generator=generator),
        classes=CLASSES,
    )


def our_step(size: NetworkSize) -> Step:
    """Return a call that makes the next step of a training run."""
    width = f"width = {size.width}" if size.width else ""
    text = f"""
        name = "benchmark"
        method = "aloe"
        seed = 0
        network = {{ name = "{size.name}"{f", {width}" if width else ""} }}
        input = {{ height = 32, width = 32 }}
        inliers = {{ folder = "none", validation = 1, calibration = 20 }}
        schedule = {{ epochs = 1000, batch_size = {size.inliers} }}
        evaluation = {{ test = {{ folder = "none" }}, outliers.none = {{ folder = "none" }} }}
        [outliers]
        folder = "none"
        weight = {OUTLIER_WEIGHT}
        per_inlier = {size.outliers / size.inliers}
        [attack]
        epsilon_255 = {EPSILON_255}
        steps = {STEPS}
        step_size = 1.0
    """
    data = TrainingData(
        training=images(BATCHES * size.inliers),
        validation=images(1),
        outliers=images(BATCHES * size.outliers),
    )
    trainer = Trainer(parse_recipe(text, origin="benchmark"), data)
    steps: Iterator[StepResult] = itertools.chain.from_iterable(
        trainer.train_epoch(epoch) for epoch in itertools.count()
    )
    return lambda: next(steps)


def reference_step(size: NetworkSize, habits: Habits) -> Step:
    """Return a call that makes a step of the reference with the given habits."""
    torch.manual_seed(0)
    network = build_network(size.name, len(CLASSES), width=size.width)
    step = ReferenceStep(network, habits)
    inside, outside = images(size.inliers), images(size.outliers)
    return lambda: step(inside.images[:], inside.labels, outside.images[:])


def rows(size: NetworkSize) -> dict[str, Step]:
    """Return the timed steps by name: the reference, with ever fewer habits, and `fit`."""
    habits = Habits()
    steps = {"reference": reference_step(size, habits)}
    for habit, name in HABITS.items():
        habits = replace(habits, **{habit: False})
        steps[name] = reference_step(size, habits)
    return {**steps, OURS: our_step(size)}


def timing(step: Step) -> float:
    """Return the CPU seconds of a step, which do not depend on other processes' load."""
    start = time.process_time()
    step()
    return time.process_time() - start


def report(size: NetworkSize, rounds: list[dict[str, float]]) -> Table:
    """Return a table that compares every row with the reference and with the previous row."""
    title = f"{size.name}: {size.inliers} inliers, {size.outliers} outliers, {STEPS} attack steps"
    table = Table(title=f"{title}; median of {len(rounds)} rounds")
    for column in ("", "images/s", "times the reference", "times the previous row"):
        table.add_column(column, justify="right" if column else "left")
    before = "reference"
    for name in rounds[0]:
        speed = (size.inliers + size.outliers) / statistics.median(r[name] for r in rounds)
        over_reference = statistics.median(r["reference"] / r[name] for r in rounds)
        over_before = statistics.median(r[before] / r[name] for r in rounds)
        table.add_row(name, f"{speed:.1f}", f"{over_reference:.2f}", f"{over_before:.2f}")
        before = name
    return table


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--network", action="append", choices=tuple(SIZES))
    options = parser.parse_args()
    torch.set_num_threads(1)
    for name in options.network or SIZES:
        size = SIZES[name]
        steps = rows(size)
        for step in steps.values():
            step()
        rounds = [
            {name: timing(step) for name, step in steps.items()} for _ in range(options.rounds)
        ]
        Console().print(report(size, rounds))


if __name__ == "__main__":
    main()
