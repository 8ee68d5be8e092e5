"""How much faster a step of ALOE is here than in the paper's own code, and by what.

    python -m benchmarks.training [--rounds 5] [--network resnet14] [--network densenet-bc-100-12]

Both sides train the same network on the same images with the same number of attack steps, on one
thread of the processor. The reference is rendered in `benchmarks.aloe_reference`; its habits are
left off one after another, and the last row is `training.loop` as `oodguard-train fit` runs it,
with augmentation, optimizer and the average of the weights. Rounds interleave all rows, one step
each, by processor time; ratios are taken within a round, then their median. The reference's loader
has a process of its own; on one thread its time counts, and its row says how much that is.
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
from oodguard.models.networks.build import build_network
from oodguard.training.config.recipe import parse_recipe
from oodguard.training.data.dataset import ImageSet
from oodguard.training.data.training_data import TrainingData
from oodguard.training.fit.trainer import StepResult, Trainer

Step = Callable[[], object]

CLASSES = tuple("abcdefghij")
BATCHES = 4  # of images in memory
OURS = "oodguard-train fit"
HABITS = {
    "picture_by_picture": "+ augment batches",
    "normalise_one_by_one": "+ normalise batches",
    "clean_pass": "+ no clean pass",
    "attack_apart_in_training_mode": "+ one attack, weights held",
    "channels_first": "+ channels last",
    "float32": "+ bfloat16",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Bench:
    """A network and how many images a step takes; a large network takes few."""

    name: str
    width: int | None
    inliers: int
    outliers: int


BENCHES = {
    "resnet14": Bench(name="resnet14", width=32, inliers=64, outliers=128),
    "densenet-bc-100-12": Bench(name="densenet-bc-100-12", width=None, inliers=16, outliers=32),
}


def images(count: int) -> ImageSet:
    """Make random pictures with random labels: what they show makes no step faster."""
    generator = torch.Generator().manual_seed(count)
    return ImageSet(
        name="noise",
        images=torch.randint(256, (count, 32, 32, 3), dtype=torch.uint8, generator=generator),
        labels=torch.randint(len(CLASSES), (count,), generator=generator),
        classes=CLASSES,
    )


def our_step(bench: Bench) -> Step:
    """Return the next step of a training run as a call."""
    width = f"width = {bench.width}" if bench.width else ""
    text = f"""
        name = "benchmark"
        method = "aloe"
        seed = 0
        network = {{ name = "{bench.name}"{f", {width}" if width else ""} }}
        input = {{ height = 32, width = 32 }}
        inliers = {{ folder = "none", validation = 1, calibration = 20 }}
        schedule = {{ epochs = 1000, batch_size = {bench.inliers} }}
        evaluation = {{ test = {{ folder = "none" }}, outliers.none = {{ folder = "none" }} }}
        [outliers]
        folder = "none"
        weight = {OUTLIER_WEIGHT}
        per_inlier = {bench.outliers / bench.inliers}
        [attack]
        epsilon_255 = {EPSILON_255}
        steps = {STEPS}
        step_size = 1.0
    """
    data = TrainingData(
        training=images(BATCHES * bench.inliers),
        validation=images(1),
        outliers=images(BATCHES * bench.outliers),
    )
    trainer = Trainer(parse_recipe(text, origin="benchmark"), data)
    ticks: Iterator[StepResult] = itertools.chain.from_iterable(
        trainer.train_epoch(epoch) for epoch in itertools.count()
    )
    return lambda: next(ticks)


def reference_step(bench: Bench, habits: Habits) -> Step:
    """Return a step of the reference, with some habits left off, as a call."""
    torch.manual_seed(0)
    network = build_network(bench.name, len(CLASSES), width=bench.width)
    step = ReferenceStep(network, habits)
    inside, outside = images(bench.inliers), images(bench.outliers)
    return lambda: step(inside.images, inside.labels, outside.images)


def rows(bench: Bench) -> dict[str, Step]:
    """Return what is timed, by name: the reference, it with ever fewer habits, and ours."""
    habits = Habits()
    steps = {"reference": reference_step(bench, habits)}
    for habit, name in HABITS.items():
        habits = replace(habits, **{habit: False})
        steps[name] = reference_step(bench, habits)
    return {**steps, OURS: our_step(bench)}


def timing(step: Step) -> float:
    """Processor seconds that a step takes: on one thread its time, but for a busy machine's."""
    start = time.process_time()
    step()
    return time.process_time() - start


def report(bench: Bench, rounds: list[dict[str, float]]) -> Table:
    """Return the table: every row beside the reference and beside the row before it."""
    title = (
        f"{bench.name}: {bench.inliers} inliers, {bench.outliers} outliers, {STEPS} attack steps"
    )
    table = Table(title=f"{title}; median of {len(rounds)} rounds")
    for column in ("", "images/s", "times the reference", "times the row before"):
        table.add_column(column, justify="right" if column else "left")
    before = "reference"
    for name in rounds[0]:
        speed = (bench.inliers + bench.outliers) / statistics.median(r[name] for r in rounds)
        over_reference = statistics.median(r["reference"] / r[name] for r in rounds)
        over_before = statistics.median(r[before] / r[name] for r in rounds)
        table.add_row(name, f"{speed:.1f}", f"{over_reference:.2f}", f"{over_before:.2f}")
        before = name
    return table


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--network", action="append", choices=tuple(BENCHES))
    options = parser.parse_args()
    torch.set_num_threads(1)
    for name in options.network or BENCHES:
        bench = BENCHES[name]
        steps = rows(bench)
        for step in steps.values():
            step()
        rounds = [
            {name: timing(step) for name, step in steps.items()} for _ in range(options.rounds)
        ]
        Console().print(report(bench, rounds))


if __name__ == "__main__":
    main()
