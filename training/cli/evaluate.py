"""The command `oodguard-train evaluate`."""

from pathlib import Path
from typing import Annotated

import typer
from rich.markdown import Markdown

from oodguard.models.decision import Policy
from oodguard.models.errors import RecipeError
from oodguard.training.cli.progress import EvaluationBar, Threads, console, settings
from oodguard.training.config.recipe import read_recipe
from oodguard.training.config.suites import SHIPPABLE_SUITES, SUITES
from oodguard.training.evaluation.evaluate import evaluate as run_evaluation
from oodguard.training.evaluation.target import (
    EvaluationTarget,
    bundle_target,
    is_bundle,
    run_target,
)
from oodguard.training.report.card import figures
from oodguard.training.report.model import Report
from oodguard.training.report.write import renew as renew_bundle
from oodguard.training.report.write import write_report
from oodguard.training.run_folder import RunFolder

UNTRUSTED = 2  # the exit status of figures that should not be believed


def evaluate(  # noqa: PLR0913  (each is an option of the command)
    target: Annotated[Path, typer.Argument(help="A run's folder or a bundle.")],
    suite: Annotated[str, typer.Option(help=", ".join(SUITES))] = "standard",
    score: Annotated[str | None, typer.Option(help="Default: the one that decides.")] = None,
    alpha: Annotated[float, typer.Option(help="Largest share of false rejections.")] = 0.05,
    delta: Annotated[float, typer.Option(help="1 - confidence in alpha.")] = 0.05,
    beside: Annotated[
        list[str] | None, typer.Option(help="Measured as well, such as odin; repeatable.")
    ] = None,
    twin: Annotated[
        Path | None, typer.Option(help="An undefended run or bundle, whose attacks are tried too.")
    ] = None,
    recipe: Annotated[
        Path | None, typer.Option(help="Of a bundle: measure on this recipe's sets.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="The reports' folder; default: the run's, or reports/NAME.")
    ] = None,
    renew: Annotated[
        bool, typer.Option("--renew", help="Of a bundle: put the figures into it.")
    ] = False,
    threads: Threads = None,
) -> None:
    """Measure a run or bundle, clean and attacked; status 2 if the attack is not to be trusted."""
    with settings(threads):
        if suite not in SUITES:
            raise RecipeError(f"--suite: came {suite!r}, wanted one of {', '.join(SUITES)}")
        if renew and not (is_bundle(target) and suite in SHIPPABLE_SUITES):
            raise RecipeError(f"--renew wants a bundle and --suite {' or '.join(SHIPPABLE_SUITES)}")
        if recipe:
            read_recipe(recipe)  # which says what is wrong with it
        text = recipe.read_text(encoding="utf-8") if recipe else None
        with console.status("loading"):
            subject = _subject(target, text, score, tuple(beside or ()))
            other = _subject(twin, subject.recipe_text, None, ()) if twin else None
        with EvaluationBar(console) as bar:
            report, evidence = run_evaluation(
                subject,
                suite=SUITES[suite],
                policy=Policy(score=score or subject.default_score, alpha=alpha, delta=delta),
                watcher=bar,
                beside=tuple(beside or ()),
                twin=other,
            )
        folder = out or (target if not is_bundle(target) else Path("reports") / subject.name)
        page = write_report(folder, report, evidence)
        if renew:
            renew_bundle(target, report)
        console.print(Markdown(figures(report)))
        console.print(f"{page} shows all of it", soft_wrap=True)
        _say(report)


def _subject(
    target: Path, recipe_text: str | None, score: str | None, beside: tuple[str, ...]
) -> EvaluationTarget:
    if is_bundle(target):
        return bundle_target(target, recipe_text)
    run = RunFolder(target)
    return run_target(run, score or run.recipe.default_score, (*run.recipe.score_names, *beside))


def _say(report: Report) -> None:
    """End with status 2 where a check of the attack failed.

    Raises:
        Exit: the report is untrusted.
    """
    if report.trust.stamp != "untrusted":
        return
    for check in report.trust.checks:
        if check.outcome == "failed":
            console.print(
                f"untrusted: {check.name}: found {check.figure}, expected {check.expected}",
                style="red",
                markup=False,
                soft_wrap=True,
            )
    raise typer.Exit(UNTRUSTED)
