"""The command `oodguard-train runs`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich import box
from rich.table import Column, Table
from rich.text import Text

from oodguard.command_line.output import json_option, print_json, table_console, warn
from oodguard.command_line.progress import describe_duration
from oodguard.models.errors import RecipeError
from oodguard.models.names import escape_control_characters
from oodguard.training.cli.command import run_command
from oodguard.training.report.markdown import budget, percent, share
from oodguard.training.report.write import read_report
from oodguard.training.run_folder import PROGRESS, RECIPE, RunFolder

COLUMNS = (
    "run",
    "method",
    "network",
    "hardened at",
    "teacher",
    "epochs",
    "time",
    "validation accuracy",
    "attacked",
    "attacked AUROC",
    "test accuracy",
    "clean AUROC",
    "attacked AUROC, test",
    "suite",
)
"""Every run has the first ones; an evaluated run also has those from `test accuracy` on."""

EXAMPLES = ("oodguard-train runs", "oodguard-train runs runs/cifar10-aloe --json")


def runs(
    folders: Annotated[
        list[Path] | None,
        typer.Argument(help="Folders of runs, or folders that contain runs.", show_default="runs"),
    ] = None,
    as_json: Annotated[bool, json_option(*COLUMNS)] = False,
) -> None:
    """Compare runs: settings, validation of the last epoch, evaluation and training time."""
    with run_command(None):
        found = [run for folder in folders or [Path("runs")] for run in find_runs(folder)]
        rows = []
        for folder in found:
            try:
                rows.append(describe_run(RunFolder(folder)))
            except RecipeError as error:
                warn(str(error))
        if as_json:
            named = [dict(zip(COLUMNS, row, strict=True)) for row in rows]
            print_json(named)
        elif rows:
            _print_table(rows)


def _print_table(rows: Sequence[Sequence[str]]) -> None:
    """Print the runs: cells are folded in a narrow terminal, and lines are whole in a pipe.

    The column of teachers is printed if a run has one.
    """
    has_teacher = any(row[COLUMNS.index("teacher")] for row in rows)
    columns = [name for name in COLUMNS if name != "teacher" or has_teacher]
    table = Table(*(Column(name, overflow="fold") for name in columns), box=box.SIMPLE)
    for row in rows:
        cells = dict(zip(COLUMNS, row, strict=True))
        table.add_row(*(Text(cells[name].replace(" %", "%")) for name in columns))
    table_console().print(table)


def find_runs(folder: Path) -> list[Path]:
    """Return a run itself, or the runs in a folder, by name.

    Raises:
        RecipeError: There is none.
    """
    if (folder / RECIPE).exists():
        return [folder]
    runs = sorted(path.parent for path in folder.glob(f"*/{RECIPE}"))
    if not runs:
        raise RecipeError(
            f"{folder}: found no runs, expected the folder of a run or a folder that contains runs"
        )
    return runs


def describe_run(run: RunFolder) -> list[str]:
    """Return the cells of a run; those of results that do not exist are empty.

    Raises:
        RecipeError: A file of the run is damaged.
    """
    recipe = run.recipe
    cells = [
        escape_control_characters(run.folder.name),
        recipe.method,
        escape_control_characters(str(recipe.network)),
        budget(recipe.attack.epsilon_255) if recipe.attack else "",
        escape_control_characters(recipe.teacher.weights.name) if recipe.teacher else "",
    ]
    if not (run.folder / PROGRESS).exists():
        return [*cells, f"0/{recipe.schedule.epochs}", *[""] * (len(COLUMNS) - len(cells) - 1)]
    progress = run.progress()
    last = progress.epochs[-1]
    cells += [
        f"{len(progress.epochs)}/{recipe.schedule.epochs}",
        describe_duration(progress.duration_s),
        percent(last.accuracy),
        percent(last.attacked_accuracy),
        "" if last.attacked_auroc is None else share(last.attacked_auroc),
    ]
    try:
        report = read_report(run)
    except RecipeError:  # not evaluated
        return [*cells, *[""] * (len(COLUMNS) - len(cells))]
    at = report.highlighted
    stamp = "" if report.trust.stamp == "trusted" else f", {report.trust.stamp}"
    return [
        *cells,
        percent(report.accuracy),
        share(report.conditions[0].mean_auroc),
        f"{share(at.mean_auroc)} at {budget(at.epsilon_255)}" if at else "",
        f"{report.suite.name}{stamp}",
    ]
