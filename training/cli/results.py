"""Results that several commands print or write: classes, reasons and training curves."""

from pathlib import Path

from oodguard.command_line.output import message
from oodguard.models.bundle import open_bundle
from oodguard.models.reasons import missing_ranges
from oodguard.training.cli.command import print_figures
from oodguard.training.report.classes import SHOWN_CLASSES, classes_table
from oodguard.training.report.model import Report
from oodguard.training.report.training_page import write_training_page
from oodguard.training.run_folder import RunFolder


def print_classes(report: Report) -> None:
    """Print the classes with the lowest accuracy, if the report has results by class."""
    if table := classes_table(report):
        more = len(report.classes) > SHOWN_CLASSES
        message(f"{'Lowest accuracy' if more else 'Accuracy'} by class, clean images:")
        print_figures(table)


def report_missing_reasons(folder: Path) -> None:
    """Print why the reasons of a bundle name no qualities of images, if they do not."""
    missing = missing_ranges(open_bundle(folder).rows)
    if missing is not None:
        message(
            f"No reason for a rejection names a quality of the image, such as too_dark: {missing}."
        )


def write_curves(run: RunFolder, folder: Path) -> None:
    """Write the page with the training curves into a folder, and print its path."""
    progress, name = run.progress(), run.recipe.name
    notes = [
        f"Rolled back to epoch {each.kept}: {each.reason}. Attack from then on: {each.attack}."
        for each in progress.rolled_back
    ]
    if page := write_training_page(run.folder, folder, name=name, notes=notes):
        message(f"The training curves are in {page}.")
