"""Make the example images of the playground, and attacks that flip one bundle and not another.

    python -m oodguard.training.playground_examples --images tests/data \
        --out service/static/playground/examples

Copies images of tests/data, draws noise and black, and attacks `cifar10-standard` by APGD within
the smallest budget that succeeds: outliers until it accepts them, CIFAR-10 test images until it
accepts them in a wrong class. An example is kept only if `cifar10-aloe` decides on it as on the
original. `examples.json` states the attack, the budget and the origin of each.
"""

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from oodguard.models.bundle import Bundle, open_bundle
from oodguard.models.calibrated_model import CalibratedModel
from oodguard.models.decision import Policy
from oodguard.models.verdicts import Verdicts
from oodguard.training.attack_images import SEED, STEPS, Pixels, attack
from oodguard.training.scoring.parity import onnx_run

BUDGETS_255 = (1, 2)

CIFAR10 = "CIFAR-10 test set, A. Krizhevsky 2009; no formal licence, citation requested"
TEXTURES = "Describable Textures (DTD), M. Cimpoi et al. 2014; made available for research"
SIGNS = "GTSRB test set, J. Stallkamp et al. 2012; public research data set, citation requested"
HANDS = "Sign Language Digits, A. Mavi 2020; Apache-2.0"
OWN = "made by this project, Apache-2.0"

PLAIN = (
    ("ship", "A ship", "cifar10/ship/00588.png", CIFAR10),
    ("texture", "A texture", "textures/00057.png", TEXTURES),
    ("sign", "A traffic sign", "signs/test/stop/00174.png", SIGNS),
)

# The names of their classes in GTSRB, where numbers are the names.
GTSRB_NUMBERS = {"stop": "14", "priority_road": "12"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Candidates:
    """Images of one kind, of which some become attacked examples.

    Attributes:
        name: The name of their examples.
        title: The title of their examples; a class is added.
        files: The image files.
        origin: The data set and its terms.
        labels: The class of each image; None for outliers.
        count: The number of examples.
    """

    name: str
    title: str
    files: Sequence[Path]
    origin: str
    labels: Sequence[int] | None
    count: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Attacked:
    """One attacked image, its original, and the row of its file."""

    row: int
    original: Pixels
    image: Pixels
    budget_255: int


def correct(verdicts: Verdicts, labels: Sequence[int] | None) -> NDArray[np.bool_]:
    """Return which verdicts `(n,)` are correct.

    Correct is `reject` for outliers, and acceptance in the right class for other images.
    """
    rejected: NDArray[np.bool_] = verdicts.rejected
    if labels is None:
        return rejected
    found: NDArray[np.bool_] = ~rejected & (verdicts.arrays.class_ids == np.asarray(labels))
    return found


def flips(before: Verdicts, after: Verdicts, labels: Sequence[int] | None) -> NDArray[np.bool_]:
    """Return which correct verdicts `(n,)` the attack turned into wrong acceptances."""
    wrong: NDArray[np.bool_] = ~after.rejected
    if labels is not None:
        wrong = wrong & (after.arrays.class_ids != np.asarray(labels))
    return correct(before, labels) & wrong


def keeps(before: Verdicts, after: Verdicts, labels: Sequence[int] | None) -> NDArray[np.bool_]:
    """Return for which images `(n,)` the verdict is correct before and after the attack."""
    return correct(before, labels) & correct(after, labels)


def select(standard: Bundle, hardened: Bundle, candidates: Candidates) -> Iterator[Attacked]:
    """Yield the examples of the smallest budget at which there are enough, the clearest first."""
    images = np.stack([np.asarray(Image.open(file).convert("RGB")) for file in candidates.files])
    guards = [
        CalibratedModel(each, Policy(score=each.manifest.default_score), onnx_run(each.model))
        for each in (standard, hardened)
    ]
    labels = candidates.labels
    before = [guard.predict(images) for guard in guards]
    for budget in BUDGETS_255:
        attacked = attack(standard, images, labels, budget)
        after = [guard.predict(attacked) for guard in guards]
        good = flips(before[0], after[0], labels) & keeps(before[1], after[1], labels)
        order = np.argsort(-after[0].arrays.p_values, kind="stable")
        rows = [int(row) for row in order if good[row]][: candidates.count]
        if len(rows) == candidates.count:
            for row in rows:
                yield Attacked(
                    row=row, original=images[row], image=attacked[row], budget_255=budget
                )
            return
    raise SystemExit(f"{candidates.name}: fewer than {candidates.count} images flip")


def candidates_of(images: Path, classes: Sequence[str]) -> list[Candidates]:
    """Return what is attacked: outliers of three kinds, and the classes ship and cat."""

    def outliers(name: str, title: str, pattern: str, origin: str, count: int) -> Candidates:
        files = sorted(images.glob(pattern))
        return Candidates(
            name=name, title=title, files=files, origin=origin, labels=None, count=count
        )

    def inliers(name: str) -> Candidates:
        files = sorted(images.glob(f"cifar10/{name}/*.png"))
        labels = [classes.index(name)] * len(files)
        title = f"A {name}, attacked"
        return Candidates(
            name=name, title=title, files=files, origin=CIFAR10, labels=labels, count=1
        )

    return [
        outliers("texture", "A texture, attacked", "textures/*.png", TEXTURES, 1),
        outliers("sign", "A traffic sign, attacked", "signs/test/*/*.png", SIGNS, 1),
        outliers("hand", "A hand, attacked", "hands/*.png", HANDS, 1),
        inliers("ship"),
        inliers("dog"),
    ]


Record = dict[str, Any]


def plain_examples(images: Path, out: Path) -> Iterator[Record]:
    """Write the examples without an attack, and yield their records."""
    for name, title, file, origin in PLAIN:
        (out / f"{name}.png").write_bytes((images / file).read_bytes())
        yield {**_plain(name, title, origin), **_content(title, file)}
    noise = np.random.default_rng(SEED).integers(0, 256, (32, 32, 3), np.uint8)
    for name, title, shows, pixels in (
        ("noise", "Noise", "noise", noise),
        ("black", "Black", "a black picture", np.zeros((32, 32, 3), np.uint8)),
    ):
        Image.fromarray(pixels).save(out / f"{name}.png", optimize=True)
        yield {**_plain(name, title, OWN), "shows": shows, "classes": []}


def _plain(name: str, title: str, origin: str) -> Record:
    return {"file": f"{name}.png", "title": title, "kind": "plain", "origin": origin}


def _content(title: str, file: str) -> Record:
    """Return what an image of tests/data shows, and the names that its class has in data sets."""
    shows = title.removesuffix(", attacked").replace("A ", "a ", 1)
    label = Path(file).parent.name
    if file.startswith("cifar10/"):
        classes = [label]
    elif label in GTSRB_NUMBERS:
        classes = [label, GTSRB_NUMBERS[label]]
    else:
        classes = []
    return {"shows": shows, "classes": classes}


def attacked_examples(
    standard: Bundle, hardened: Bundle, images: Path, out: Path
) -> Iterator[Record]:
    """Write the attacked examples with their originals, and yield their records."""
    classes = standard.manifest.classes
    for each in candidates_of(images, classes):
        goal: Literal["accepted", "accepted in a wrong class"]
        goal = "accepted" if each.labels is None else "accepted in a wrong class"
        for found in select(standard, hardened, each):
            name = f"attacked-{each.name}"
            source = each.files[found.row].relative_to(images).as_posix()
            Image.fromarray(found.image).save(out / f"{name}.png", optimize=True)
            Image.fromarray(found.original).save(out / f"{name}-original.png", optimize=True)
            yield {
                "file": f"{name}.png",
                "title": each.title,
                "kind": "attacked",
                "origin": each.origin,
                "original": f"{name}-original.png",
                "source": source,
                **_content(each.title, source),
                "label": None if each.labels is None else classes[each.labels[found.row]],
                "attack": f"APGD, {STEPS} steps, until it is {goal}",
                "epsilon_255": found.budget_255,
                "attacked_model": standard.manifest.name,
                "robust_model": hardened.manifest.name,
            }


def main() -> None:
    """Parse the command line and write the folder."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--images", type=Path, required=True, help="the folder tests/data")
    parser.add_argument("--out", type=Path, required=True, help="the folder of the examples")
    parser.add_argument("--models", type=Path, default=Path("models/pretrained"))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    standard = open_bundle(arguments.models / "cifar10-standard")
    hardened = open_bundle(arguments.models / "cifar10-aloe")
    arguments.out.mkdir(parents=True, exist_ok=True)
    records = [
        *plain_examples(arguments.images, arguments.out),
        *attacked_examples(standard, hardened, arguments.images, arguments.out),
    ]
    text = json.dumps({"examples": records}, indent=2)
    (arguments.out / "examples.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
