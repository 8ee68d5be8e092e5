"""The command `oodguard policy`: what policies reject and miss, before one is used."""

from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated

import typer

from oodguard.command_line.output import json_option, print_json
from oodguard.command_line.program import examples

app = typer.Typer(
    help="Show what policies reject and miss.",
    epilog=examples("oodguard policy show models/pretrained/cifar10-aloe"),
    no_args_is_help=True,
    rich_markup_mode=None,
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
OUTCOME = (
    *("policy", "threshold", "rejected", "rejected_attacked", "evaluation", "unknown"),
    "limitations",
)
"""The keys of a policy's outcome in JSON."""


@app.command(
    epilog=examples(
        "oodguard policy show models/pretrained/cifar10-aloe",
        "oodguard policy show models/pretrained/cifar10-aloe --by-class --plot policies.svg",
    )
)
def show(  # noqa: PLR0913 - each parameter is an option of the command
    bundle: BundleArgument,
    score: Score = None,
    delta: Delta = "0.05",
    by_class: ByClass = False,
    under_attack: UnderAttack = None,
    beta: Beta = None,
    plot: Annotated[Path | None, typer.Option(help="Write a plot to this SVG file.")] = None,
    as_json: Annotated[bool, json_option(*OUTCOME)] = False,
) -> None:
    """Print what is rejected and missed for a grid of alpha.

    Values of alpha for which the bundle has too few calibration images are left out.
    """
    # Commands import what they need, so that help and usage errors are quick.
    from oodguard.models.bundle import MANIFEST, open_bundle  # noqa: PLC0415
    from oodguard.models.decision import Policy  # noqa: PLC0415
    from oodguard.models.errors import BundleError, CalibrationError  # noqa: PLC0415
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
    outcomes, refused = [], {}
    for alpha in ALPHAS:
        try:
            outcomes.append(policy_outcome(opened, replace(base, alpha=alpha)))
        except CalibrationError as error:
            refused[alpha] = error
    if not outcomes:
        raise refused[ALPHAS[-1]]
    if plot is not None:
        if plot.suffix.lower() != ".svg":
            raise typer.BadParameter(f"--plot is {plot}, expected a file that ends in .svg")
        if (plot.absolute().parent / MANIFEST).exists():
            raise BundleError(f"--plot {plot} is in the folder of a bundle, expected another")
        plot.write_text(policy_tables.svg(opened.manifest, outcomes), encoding="utf-8")
    if as_json:
        print_json([asdict(each) for each in outcomes])
    else:
        unit = "images" if opened.rows.groups is None else "groups"
        policy_tables.print_grid(opened.manifest, outcomes, left_out=tuple(refused), unit=unit)


@app.command(
    name="try",
    epilog=examples("oodguard policy try models/pretrained/cifar10-aloe --alpha 0.02"),
)
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
    as_json: Annotated[bool, json_option(*OUTCOME, "by_class")] = False,
) -> None:
    """Print what one policy rejects and misses, by class, by set and by attack budget."""
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
        print_json({**asdict(outcome), "by_class": [asdict(each) for each in classes]})
    else:
        policy_tables.print_outcome(opened.manifest, outcome, classes)


def _rate(option: str, text: str) -> float | None:
    if text == "none":
        return None
    try:
        return float(text)
    except ValueError:
        raise typer.BadParameter(f"{option} is {text!r}, expected a number or none") from None
