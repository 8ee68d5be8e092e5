"""The command line `oodguard-train`: fit, evaluate, export."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import datasets
import torch
import typer
from rich.console import Console
from rich.markdown import Markdown

from models.decision import Policy
from models.errors import GuardError
from training.card import figures
from training.checkpoint import RunFolder
from training.evaluate import evaluate as run_evaluation
from training.evaluation_file import write_report
from training.export import export as run_export
from training.fit import fit as run_fit
from training.progress_bar import ProgressBar
from training.recipe import read_recipe
from training.report import Protocol

app = typer.Typer(no_args_is_help=True, add_completion=False)
console = Console()

Run = Annotated[Path, typer.Argument(help="A run's folder, such as runs/cifar10-aloe.")]
Threads = Annotated[int | None, typer.Option(min=1, help="Threads of torch; default: all cores.")]


@app.callback()
def main() -> None:
    """Train, evaluate and export guards: hardened classifiers with out-of-distribution scores."""


@app.command()
def fit(
    recipe: Annotated[Path, typer.Argument(help="A recipe, such as recipes/cifar10-aloe.toml.")],
    out: Annotated[Path | None, typer.Option(help="The run's folder; default: runs/NAME.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the last epoch.")] = False,
    threads: Threads = None,
) -> None:
    """Train a classifier as a recipe says; a checkpoint is written after every epoch."""
    with _settings(threads):
        name = read_recipe(recipe).name  # before anything is written
        folder = out or Path("runs") / name
        text = recipe.read_text(encoding="utf-8")
        run = RunFolder.resume(folder, text) if resume else RunFolder.create(folder, text)
        with ProgressBar(console) as bar:
            run_fit(run, bar, resume=resume)
        console.print(
            f"{folder} is trained; next: oodguard-train evaluate {folder}", soft_wrap=True
        )


@app.command()
def evaluate(  # noqa: PLR0913  (each is an option of the command)
    run: Run,
    score: Annotated[str | None, typer.Option(help="Default: the recipe's.")] = None,
    alpha: Annotated[float, typer.Option(help="Largest share of false rejections.")] = 0.05,
    delta: Annotated[float, typer.Option(help="1 - confidence in alpha.")] = 0.05,
    images: Annotated[int, typer.Option(min=2, help="At most, from each set.")] = 1000,
    steps: Annotated[int, typer.Option(min=1, help="Steps of PGD.")] = 20,
    restarts: Annotated[int, typer.Option(min=1, help="Random starts of PGD.")] = 3,
    epsilon: Annotated[
        list[float] | None, typer.Option(min=0, help="Budgets in 255ths; default: 1 and 2.")
    ] = None,
    threads: Threads = None,
) -> None:
    """Measure a run, clean and with both sides attacked, and keep the figures in its folder."""
    with _settings(threads):
        folder = RunFolder(run)
        policy = Policy(score=score or folder.recipe.default_score, alpha=alpha, delta=delta)
        protocol = Protocol(
            steps=steps, restarts=restarts, step_size=2.5 / steps, images=images, seed=0
        )
        with console.status("loading") as status:
            report = run_evaluation(
                folder,
                policy=policy,
                protocol=protocol,
                epsilons_255=tuple(epsilon or (1.0, 2.0)),
                tell=status.update,
            )
        write_report(folder, report)
        console.print(Markdown(figures(report)))


@app.command()
def export(
    run: Run,
    out: Annotated[Path, typer.Option(help="The bundle's folder, replaced if it is a bundle.")],
    threads: Threads = None,
) -> None:
    """Write a run's bundle: ONNX graph, calibration, figures and card, through the parity gate."""
    with _settings(threads):
        exported = run_export(RunFolder(run), out)
        console.print(
            f"{out} written; torch and ONNX Runtime agree on {exported.parity.images} images,"
            f" largest difference of a score {exported.parity.largest_difference:.1g}",
            highlight=False,
            soft_wrap=True,
        )


@contextmanager
def _settings(threads: int | None) -> Iterator[None]:
    """Set torch's threads, and print an error of ours as one clear message."""
    datasets.disable_progress_bars()  # it draws one for every file that it opens
    if threads is not None:
        torch.set_num_threads(threads)
    try:
        yield
    except GuardError as error:
        Console(stderr=True).print(f"error: {error}", style="red", markup=False, soft_wrap=True)
        raise typer.Exit(1) from error
