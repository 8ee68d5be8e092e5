"""Measure checkpoints of other methods by this project's attack, from files that you supply.

    python -m benchmarks.leaderboard networks.toml [--recipe recipes/cifar10-standard.toml]
        [--suite quick|standard|full] [--out leaderboard.md]

Each table [[network]] of the file has a `name`, the `family` of its architecture and a `file`;
docs/leaderboard.md lists the families and has an example. No code of a file is run: it is read as
safetensors, or by torch.load with weights_only=True. The recipe names the data. Both sides are
attacked on the score itself, msp by its log-odds, which do not saturate as the softmax does; the
columns are mean AUROCs over the sets. A `claim` is repeated and was not measured here. On one
thread; an interrupted run continues where it was.
"""

import argparse
import hashlib
from collections.abc import Iterator
from pathlib import Path

import torch
from pydantic import Field, ValidationError
from pydantic_core import ErrorDetails
from rich.console import Console

from benchmarks.error_lines import error_lines
from benchmarks.foreign.builders import ACTIVATIONS, Preprocessing, atd
from benchmarks.foreign.checkpoint import read_tensors
from benchmarks.foreign.families import FAMILIES
from benchmarks.network_target import inliers_of, network_target
from oodguard.models.decision import Policy
from oodguard.models.errors import RecipeError
from oodguard.models.frozen_model import FrozenModel
from oodguard.models.networks.classifier import Classifier
from oodguard.models.scores import SCORE_NAMES
from oodguard.models.validation_errors import location
from oodguard.training.cli.progress import EvaluationBar
from oodguard.training.config.recipe import Recipe, read_recipe
from oodguard.training.config.recipe_errors import describe_recipe_error
from oodguard.training.config.recipe_sources import recipe_tables
from oodguard.training.config.suites import RELEASE_SUITES, SUITES, Suite
from oodguard.training.data.dataset import Split
from oodguard.training.evaluation.evaluate import evaluate
from oodguard.training.report.markdown import markdown_table, percent, share
from oodguard.training.report.model import Report

BUDGETS_255 = (1.0, 2.0, 8.0)
PARTS = Path(".leaderboard.parts")
HEAD = (
    "network",
    "accuracy",
    "score",
    "clean",
    *(f"{budget:g}/255" for budget in BUDGETS_255),
    "attack",
    "others' claim, not measured here",
)


class ForeignNetwork(FrozenModel):
    """A table [[network]]: a file, its architecture, and how its images are prepared.

    `mean`, `std` and `activation` replace those of the file and of the family, `part` selects the
    weights in a file that has several, and `discriminator` is that of ATD. `scores` are msp and
    energy by default, and abstain where there is a reject output.
    """

    name: str
    family: str
    file: Path
    part: str | None = None
    mean: tuple[float, float, float] | None = None
    std: tuple[float, float, float] | None = None
    activation: str | None = None
    discriminator: Path | None = None
    scores: tuple[str, ...] = ()
    claim: str = ""


class ForeignNetworks(FrozenModel):
    """The file: its tables [[network]]."""

    network: tuple[ForeignNetwork, ...] = Field(min_length=1)


def read_networks(path: Path) -> tuple[ForeignNetwork, ...]:
    """Read the file; its paths are relative to its folder.

    Raises:
        RecipeError: The file is not valid.
    """
    try:
        tables = recipe_tables(path.read_text(encoding="utf-8"), origin=str(path))
    except OSError as error:
        raise RecipeError(
            f"{path}: cannot read the file: {error.strerror}. Give the path of a TOML file with a"
            " table [[network]] for each network"
        ) from error
    except UnicodeDecodeError as error:
        raise RecipeError(
            f"{path}: byte {error.start} is 0x{error.object[error.start]:02x}, expected UTF-8: save"
            " the file with this encoding"
        ) from error
    try:
        found = ForeignNetworks.model_validate(tables)
    except ValidationError as error:
        # pydantic counts valid tables alone, so a file with an invalid one seems to have too few.
        faults = [each for each in error.errors() if each["type"] != "too_short"] or error.errors()
        raise RecipeError(f"{path}: {'; '.join(map(_describe, faults))}") from error
    for number, each in enumerate(found.network):
        for key, value, known in (
            ("family", each.family, FAMILIES),
            ("activation", each.activation, ACTIVATIONS),
            *(("scores", score, SCORE_NAMES) for score in each.scores),
        ):
            if value is not None and value not in known:
                raise RecipeError(
                    f"{path}: network[{number}].{key} is {value!r}, expected one of"
                    f" {', '.join(known)}"
                )
    return found.network


def _describe(error: ErrorDetails) -> str:
    """Describe an invalid key of the file: the received value, the expected one and the remedy."""
    *table, key = error["loc"]
    name = location(error["loc"])
    match error["type"]:
        case "extra_forbidden":
            known = (ForeignNetwork if table else ForeignNetworks).model_fields
            return f"{name} is an unknown key, expected one of {', '.join(known)}"
        case "missing" if not table:
            return "the table [[network]] is missing; add one for each network"
        case "missing" if isinstance(key, str):
            return f"{name} is missing; add `{key} = ...` to this [[network]]"
        case "missing":
            return f"{name} is missing, expected three numbers"
        case "tuple_type" if not table and isinstance(error["input"], dict):
            return "[network] is one table, expected an array of tables; write [[network]]"
    return describe_recipe_error(error, ForeignNetworks)


def load_network(entry: ForeignNetwork, folder: Path) -> Classifier:
    """Return the network of an entry, in evaluation mode.

    Raises:
        CheckpointError: Its file cannot be read, or does not fit its family.
    """
    file = folder / entry.file
    tensors = read_tensors(file, part=entry.part)
    preprocessing = Preprocessing(mean=entry.mean, std=entry.std, activation=entry.activation)
    network = FAMILIES[entry.family].network(tensors, preprocessing, origin=str(file))
    if entry.discriminator is None:
        return network
    other = folder / entry.discriminator
    return atd(network, read_tensors(other), origin=str(other))


def scores_of(entry: ForeignNetwork, network: Classifier, *, classes: int) -> tuple[str, ...]:
    """Return the scores of an entry: those that it names, else all that its outputs have.

    Raises:
        RecipeError: The network has another number of outputs than the data have classes.
    """
    with torch.no_grad():
        outputs = network(torch.zeros(1, 3, 32, 32)).shape[1]
    if outputs not in (classes, classes + 1):
        raise RecipeError(
            f"{entry.name}: the network has {outputs} outputs, expected one for each of the"
            f" {classes} classes of the recipe, and perhaps one to reject"
        )
    return entry.scores or (("abstain", "msp") if outputs > classes else ("msp", "energy"))


def leaderboard_suite(name: str) -> Suite:
    """Return a suite at the budgets of the table, without the attack on the class."""
    suite = SUITES[name]
    ascent = suite.ascent.model_copy(update={"end_to_end": 0})
    return suite.model_copy(update={"budgets_255": BUDGETS_255, "ascent": ascent})


def measure(  # noqa: PLR0913  (a network, its data and an attack)
    entry: ForeignNetwork,
    network: Classifier,
    recipe: Recipe,
    inliers: Split,
    suite: Suite,
    console: Console,
) -> Report:
    """Attack and measure a network by its scores."""
    digest = hashlib.sha256()
    for tensor in network.state_dict().values():
        digest.update(tensor.contiguous().numpy().tobytes())
    scores = scores_of(entry, network, classes=len(inliers.training.classes))
    target = network_target(network, recipe, inliers, scores, measured=digest.hexdigest())
    bar = EvaluationBar(console)
    with bar.display:
        report, _ = evaluate(
            target,
            suite=suite,
            policy=Policy(score=scores[0]),
            observer=bar,
            other_scores=scores[1:],
            parts=PARTS / digest.hexdigest()[:16],
        )
    return report


def rows(entry: ForeignNetwork, report: Report) -> Iterator[list[str]]:
    """Return a row for each score; checks of the attack are those of the first."""
    for number, result in enumerate(report.results):
        aurocs = {each.epsilon_255: each.mean_auroc for each in result.conditions}
        yield [
            entry.name,
            percent(report.accuracy),
            f"`{result.score}`",
            *(share(aurocs[budget]) for budget in (0.0, *BUDGETS_255)),
            report.trust.stamp if number == 0 else "not checked",
            entry.claim,
        ]


def main() -> None:
    """Measure the networks of a file and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("networks", type=Path, help="TOML file with a table for each")
    parser.add_argument(
        "--recipe",
        type=Path,
        default=Path("recipes/cifar10-standard.toml"),
        help="recipe that names the data",
    )
    parser.add_argument("--suite", choices=("quick", *RELEASE_SUITES), default="standard")
    parser.add_argument("--out", type=Path, help="file of the table")
    options = parser.parse_args()
    torch.set_num_threads(1)
    console = Console(stderr=True)
    entries, recipe = read_networks(options.networks), read_recipe(options.recipe)
    loaded = [(each, load_network(each, options.networks.parent)) for each in entries]
    inliers, suite = inliers_of(recipe), leaderboard_suite(options.suite)
    found: list[list[str]] = []
    for entry, network in loaded:
        console.print(entry.name, highlight=False)
        found += rows(entry, measure(entry, network, recipe, inliers, suite, console))
    table = markdown_table([HEAD, *found])
    print(table)
    if options.out:
        options.out.write_text(table + "\n", encoding="utf-8")


if __name__ == "__main__":
    with error_lines():
        main()
