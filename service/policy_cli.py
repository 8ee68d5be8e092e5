"""The command `oodguard policy`: what policies reject and miss, before one is used."""

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer

from oodguard.models.names import escape_unencodable_output
from oodguard.service.cli_errors import exit_on_error

app = typer.Typer(
    help="Show what policies reject and miss.", no_args_is_help=True, rich_markup_mode=None
)

BundleArgument = Annotated[Path, typer.Argument(help="Folder of the bundle.")]
Score = Annotated[
    str | None, typer.Option(help="Deciding score.", show_default="the bundle's default score")
]
Delta = Annotated[
    str, typer.Option(help="1 - confidence in alpha and beta; none: they hold on average.")
]
ByClass = Annotated[bool, typer.Option("--by-class", help="For each predicted class.")]
UnderAttack = Annotated[
    int | None, typer.Option(help="Attack budget in 255ths up to which alpha holds.")
]
Beta = Annotated[
    float | None, typer.Option(help="Maximum share that is accepted with a wrong class.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")]


@app.command()
def show(  # noqa: PLR0913 - each parameter is an option of the command
    bundle: BundleArgument,
    score: Score = None,
    delta: Delta = "0.05",
    by_class: ByClass = False,
    under_attack: UnderAttack = None,
    beta: Beta = None,
    plot: Annotated[Path | None, typer.Option(help="Write a plot to this SVG file.")] = None,
    as_json: AsJson = False,
) -> None:
    """Print what is rejected and missed for a grid of alpha.

    Values of alpha for which the bundle has too few calibration images are left out.
    """
    escape_unencodable_output()
    with exit_on_error():
        # Commands import what they need, so that help and usage errors are quick.
        from oodguard.models.bundle import open_bundle  # noqa: PLC0415
        from oodguard.models.decision import Policy  # noqa: PLC0415
        from oodguard.models.errors import CalibrationError  # noqa: PLC0415
        from oodguard.models.policy_outcomes import ALPHAS, policy_outcome  # noqa: PLC0415
        from oodguard.service import policy_tables  # noqa: PLC0415

        opened = open_bundle(bundle)
        base = Policy(
            score=score or opened.manifest.default_score,
            delta=_rate("--delta", delta),
            by_class=by_class,
            under_attack=under_attack,
            beta=beta,
        )
        outcomes, refused = [], []
        for alpha in ALPHAS:
            try:
                outcomes.append(policy_outcome(opened, replace(base, alpha=alpha)))
            except CalibrationError as error:
                refused.append(error)
        if not outcomes:
            raise refused[-1]
        if plot is not None:
            plot.write_text(policy_tables.svg(opened.manifest, outcomes), encoding="utf-8")
    if as_json:
        _print_json([asdict(each) for each in outcomes])
    else:
        policy_tables.print_grid(opened.manifest, outcomes, left_out=len(refused))


@app.command(name="try")
def try_(  # noqa: PLR0913 - each parameter is an option of the command
    bundle: BundleArgument,
    alpha: Annotated[
        str, typer.Option(help="Maximum share of rejections; none: beta decides alone.")
    ] = "0.05",
    score: Score = None,
    delta: Delta = "0.05",
    by_class: ByClass = False,
    under_attack: UnderAttack = None,
    beta: Beta = None,
    as_json: AsJson = False,
) -> None:
    """Print what one policy rejects and misses, by class, by set and by attack budget."""
    escape_unencodable_output()
    with exit_on_error():
        from oodguard.models.bundle import open_bundle  # noqa: PLC0415
        from oodguard.models.class_rejections import class_rejections  # noqa: PLC0415
        from oodguard.models.decision import Policy  # noqa: PLC0415
        from oodguard.models.policy_outcomes import policy_outcome  # noqa: PLC0415
        from oodguard.models.policy_thresholds import policy_thresholds  # noqa: PLC0415
        from oodguard.service import policy_tables  # noqa: PLC0415

        opened = open_bundle(bundle)
        policy = Policy(
            score=score or opened.manifest.default_score,
            alpha=_rate("--alpha", alpha),
            delta=_rate("--delta", delta),
            by_class=by_class,
            under_attack=under_attack,
            beta=beta,
        )
        outcome = policy_outcome(opened, policy)
        classes = class_rejections(
            opened.rows,
            policy_thresholds(opened, policy),
            score=policy.score,
            classes=opened.manifest.classes,
        )
    if as_json:
        _print_json({**asdict(outcome), "by_class": [asdict(each) for each in classes]})
    else:
        policy_tables.print_outcome(opened.manifest, outcome, classes)


def _rate(option: str, text: str) -> float | None:
    if text == "none":
        return None
    try:
        return float(text)
    except ValueError:
        raise typer.BadParameter(f"{option} is {text!r}, expected a number or none") from None


def _print_json(content: dict[str, Any] | Sequence[dict[str, Any]]) -> None:
    option = orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS
    typer.echo(orjson.dumps(content, option=option))
