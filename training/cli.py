"""The command line `oodguard-train`: fit, evaluate, export, wrap."""

from pathlib import Path
from typing import Annotated

import typer
from rich.markdown import Markdown

from models.decision import Policy
from training.card import figures
from training.checkpoint import RunFolder
from training.evaluate import evaluate as run_evaluation
from training.evaluation_file import write_report
from training.export import export as run_export
from training.first_report import Protocol
from training.fit_command import fit
from training.terminal import Threads, console, settings
from training.wrapping.command import wrap

app = typer.Typer(no_args_is_help=True, add_completion=False)

Run = Annotated[Path, typer.Argument(help="A run's folder, such as runs/cifar10-aloe.")]


@app.callback()
def main() -> None:
    """Train, evaluate and export guards: hardened classifiers with out-of-distribution scores."""


app.command()(fit)


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
    with settings(threads):
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
    with settings(threads):
        exported = run_export(RunFolder(run), out)
        console.print(
            f"{out} written; torch and ONNX Runtime agree on {exported.parity.images} images,"
            f" largest difference of a score {exported.parity.largest_difference:.1g}",
            highlight=False,
            soft_wrap=True,
        )


app.command()(wrap)
