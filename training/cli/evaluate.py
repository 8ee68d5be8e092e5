"""The command `oodguard-train evaluate`."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from oodguard.command_line.exit_codes import ExitCode
from oodguard.command_line.output import (
    console,
    json_option,
    message,
    print_error,
    print_json,
    warn,
)
from oodguard.command_line.progress import stages
from oodguard.models.bundle import open_bundle
from oodguard.models.decision import Policy
from oodguard.models.errors import RecipeError
from oodguard.models.names import text_of
from oodguard.sources.listing import Listing
from oodguard.training.cli.command import (
    Alpha,
    Delta,
    Threads,
    print_figures,
    run_command,
)
from oodguard.training.cli.progress import EvaluationBar
from oodguard.training.cli.results import print_classes, write_curves
from oodguard.training.cli.sources import (
    check_run_data,
    list_recipe,
    prepare_large,
    print_positions,
)
from oodguard.training.config.evaluation_sources import without_broken_images
from oodguard.training.config.recipe import parse_evaluation_recipe
from oodguard.training.config.recipe_sources import read_recipe_text
from oodguard.training.config.suites import SHIPPABLE_SUITES, SUITES
from oodguard.training.evaluation.evaluate import evaluate as run_evaluation
from oodguard.training.evaluation.partial_results import only_evaluation
from oodguard.training.evaluation.target import (
    EvaluationTarget,
    bundle_target,
    is_bundle,
    run_target,
)
from oodguard.training.report.card import quick_notice
from oodguard.training.report.chance_warnings import missed_warnings, report_warnings
from oodguard.training.report.figures import figures
from oodguard.training.report.model import Report
from oodguard.training.report.remedies import remedies
from oodguard.training.report.write import create_report_folder, report_name, write_report
from oodguard.training.report.write import renew as renew_bundle
from oodguard.training.run_folder import DATA, RunFolder

TEST = "evaluation.test"

EXAMPLES = (
    "oodguard-train evaluate runs/smoke",
    "oodguard-train evaluate models/pretrained/cifar10-aloe --suite paper --out report",
)


def evaluate(  # noqa: PLR0913, PLR0915  (each parameter is an option of the command)
    target: Annotated[Path, typer.Argument(help="Folder of a run or of a bundle.")],
    suite: Annotated[str, typer.Option(help=f"Protocol: {', '.join(SUITES)}.")] = "standard",
    score: Annotated[
        str | None, typer.Option(help="Score to decide by.", show_default="that of TARGET")
    ] = None,
    alpha: Alpha = 0.05,
    delta: Delta = 0.05,
    other_scores: Annotated[
        list[str] | None, typer.Option("--beside", help="Additional score; repeatable.")
    ] = None,
    twin: Annotated[
        Path | None,
        typer.Option(
            help="Run or bundle to transfer attacks from: undefended, if TARGET is hardened."
        ),
    ] = None,
    recipe: Annotated[
        Path | None,
        typer.Option(
            help="Recipe, or its table [evaluation] alone, that names the data; for bundles only."
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder of the report.", show_default="the run's, or reports/NAME"),
    ] = None,
    skip_broken: Annotated[
        bool,
        typer.Option("--skip-broken", help="Leave out evaluation images that cannot be read."),
    ] = False,
    renew: Annotated[
        bool, typer.Option("--renew", help="Write the results into the bundle.")
    ] = False,
    threads: Threads = None,
    as_json: Annotated[bool, json_option("page", "report")] = False,
) -> None:
    """Measure a run or a bundle on clean and attacked images.

    The exit code is 3 if the report is untrusted, because a gradient-masking check failed.
    """
    with run_command(threads, options=("skip_broken",)):
        if suite not in SUITES:
            raise RecipeError(f"--suite is {suite!r}, expected one of {', '.join(SUITES)}")
        text = read_recipe_text(recipe) if recipe else None
        if text is not None:
            parse_evaluation_recipe(text, origin=str(recipe))  # raises an error that names the file
        _check_options(target, suite, recipe=recipe, renew=renew, score=score, twin=twin)
        if not is_bundle(target):
            run = RunFolder(target)
            listings = list_recipe(
                run.recipe_text, ("inliers", "evaluation"), skip_broken=skip_broken
            )
            check_run_data(target / DATA, run.recipe_text, listings, *listings)
            prepare_large(listings, run.recipe.input)
        if twin and not is_bundle(twin):
            twin_recipe = RunFolder(twin).recipe_text
            inliers = list_recipe(twin_recipe, ("inliers",))
            check_run_data(twin / DATA, twin_recipe, inliers, "inliers")
        with stages("loading"):
            measured = _open(target, text, score, tuple(other_scores or ()))
            if skip_broken:
                recipe_used = without_broken_images(measured.recipe)
                measured = replace(measured, recipe=recipe_used)
            twin_target = _open(twin, measured.recipe_text, None, ()) if twin else None
        if is_bundle(target):
            listings = _list_data(target, measured.recipe_text, recipe, skip_broken=skip_broken)
            print_positions(measured.classes, TEST, listings[TEST])
            prepare_large(listings, measured.spec)
        if measured.black_box:
            warn(f"{measured.black_box}. It is attacked as a black box instead")
        folder = out or (target if not is_bundle(target) else Path("reports") / measured.name)
        create_report_folder(folder)
        bar = EvaluationBar(console())
        parts = folder / f".{report_name(suite)}.parts"
        with only_evaluation(parts), bar.display:
            report, evidence = run_evaluation(
                measured,
                suite=SUITES[suite],
                policy=Policy(score=score or measured.default_score, alpha=alpha, delta=delta),
                observer=bar,
                other_scores=tuple(other_scores or ()),
                twin=twin_target,
                parts=parts,
            )
        classes = len(measured.classes)
        with stages("writing the report"):
            page = write_report(folder, report, evidence, classes=classes)
            if renew:
                renew_bundle(target, report)
        print_figures(figures(report))
        print_classes(report)
        _print_warnings(report, classes)
        for remedy in remedies(report):
            message(f"To change: {remedy}")
        if notice := quick_notice(report):
            message(f"Quick evaluation: {notice}")
        message(f"The full report is in {page}.")
        if not is_bundle(target):
            write_curves(RunFolder(target), folder)
        if as_json:
            print_json({"page": text_of(page), "report": report})
        _exit_if_untrusted(report)


def _list_data(
    bundle: Path, text: str, recipe: Path | None, *, skip_broken: bool
) -> dict[str, Listing]:
    try:
        return list_recipe(text, ("evaluation",), skip_broken=skip_broken)
    except RecipeError as error:
        if recipe:
            raise
        raise RecipeError(
            f"{error}\nThe recipe in {bundle} names this data. Run the command in the folder of the"
            " data, or name other data with --recipe"
        ) from error


def _check_options(  # noqa: PLR0913  (by keyword)
    target: Path,
    suite: str,
    *,
    recipe: Path | None,
    renew: bool,
    score: str | None,
    twin: Path | None,
) -> None:
    """Reject options that the target or the suite would ignore, before anything is measured.

    Raises:
        RecipeError: The error names the option.
    """
    if renew and not is_bundle(target):
        raise RecipeError(f"--renew: {target} is not a bundle, expected the folder of a bundle")
    if renew and suite not in SHIPPABLE_SUITES:
        raise RecipeError(
            f"--suite is {suite!r}, expected {' or '.join(SHIPPABLE_SUITES)} with --renew"
        )
    if recipe is not None and not is_bundle(target):
        raise RecipeError(
            f"--recipe: {target} is not a bundle, expected the folder of a bundle. A run is"
            " evaluated on the data of its own recipe: export it, then evaluate the bundle with"
            " --recipe"
        )
    default = open_bundle(target).manifest.default_score if renew and score else None
    if score is not None and default not in (None, score):
        raise RecipeError(
            f"--score is {score!r}, expected {default!r}, the default score of {target}, with"
            " --renew"
        )
    if twin is not None and SUITES[suite].trials.images == 0:
        raise RecipeError(
            f"--twin: the suite {suite!r} has no attack trials that use it, expected another suite"
        )


def _open(
    target: Path, recipe_text: str | None, score: str | None, other_scores: tuple[str, ...]
) -> EvaluationTarget:
    if is_bundle(target):
        return bundle_target(target, recipe_text)
    run = RunFolder(target)
    names = (*run.recipe.score_names, *other_scores)
    return run_target(run, score or run.recipe.default_score, names)


def _print_warnings(report: Report, classes: int) -> None:
    """Print the warnings of the clean figures."""
    clean = {name: each.missed_ood_rate for name, each in report.conditions[0].sets.items()}
    for warning in (
        *report_warnings(report, classes=classes),
        *missed_warnings(report.score, clean, "compare other scores with --beside"),
    ):
        warn(warning)


def _exit_if_untrusted(report: Report) -> None:
    """Print the failed gradient-masking checks, and exit if there are any."""
    if report.trust.stamp != "untrusted":
        return
    for check in report.trust.checks:
        if check.outcome == "failed":
            print_error(f"untrusted: {check.name}: {check.figure}, expected {check.expected}")
    raise typer.Exit(ExitCode.REFUSED)
