"""The command line `oodguard-train`: fit, evaluate, export, wrap."""

from pathlib import Path
from typing import Annotated

import typer

from oodguard.training.cli.evaluate import evaluate
from oodguard.training.cli.fit import fit
from oodguard.training.cli.progress import Threads, console, settings
from oodguard.training.cli.wrap import wrap
from oodguard.training.export.export import export as run_export
from oodguard.training.run_folder import RunFolder

app = typer.Typer(no_args_is_help=True, add_completion=False)

Run = Annotated[Path, typer.Argument(help="A run's folder, such as runs/cifar10-aloe.")]


@app.callback()
def main() -> None:
    """Train, evaluate and export guards: hardened classifiers with out-of-distribution scores."""


app.command()(fit)

app.command()(evaluate)


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
