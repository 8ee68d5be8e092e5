"""The images that policies reject and miss, as tables for a terminal and as a plot in SVG."""

import math
from collections.abc import Mapping, Sequence
from html import escape

from rich.console import Console
from rich.table import Table
from rich.text import Text

from oodguard.command_line.output import table_console
from oodguard.models.class_rejections import ClassRejections
from oodguard.models.decision import Policy
from oodguard.models.manifest import Manifest
from oodguard.models.policy_outcomes import PolicyOutcome

WIDTH, HEIGHT, MARGIN = 640, 400, 60
COLOURS = ("#1f77b4", "#d62728", "#2ca02c", "#9467bd", "#ff7f0e", "#8c564b", "#17becf", "#7f7f7f")

Figures = Mapping[str, float]


def figures(manifest: Manifest, outcome: PolicyOutcome) -> dict[str, float]:
    """Return the shares of one policy by a description of the images."""
    shares = {"rejected: calibration": outcome.rejected}
    if attack := manifest.calibration_attack:
        for budget, share in outcome.rejected_attacked.items():
            images = f"{attack.images:,} of calibration, {attack.method}"
            shares[f"rejected: {images} at {budget}/255"] = share
    for each in outcome.evaluation:
        images = f"attacked at {each.budget:g}/255" if each.budget else "clean"
        shares[f"rejected: test images, {images}"] = each.rejected
        shares[f"missed: outliers, {images}"] = each.mean_missed
    return shares


def print_grid(
    manifest: Manifest, outcomes: Sequence[PolicyOutcome], *, left_out: Sequence[float], unit: str
) -> None:
    """Print a row for each share and a column for each alpha.

    `left_out` are the values of alpha for which there are too few calibration images or groups,
    which is the `unit`.
    """
    table = Table()
    table.add_column("alpha", overflow="fold")
    for each in outcomes:
        table.add_column(f"{each.policy.alpha:g}", justify="right")
    thresholds = [
        "by class" if each.threshold is None else f"{each.threshold:.4g}" for each in outcomes
    ]
    table.add_row("threshold", *thresholds)
    columns = [figures(manifest, each) for each in outcomes]
    for name in dict.fromkeys(name for column in columns for name in column):
        table.add_row(Text(name), *(_percent(column.get(name)) for column in columns))
    console = table_console()
    _print(console, _title(manifest, outcomes[0].policy))
    console.print(table)
    if left_out:
        alphas = ", ".join(f"{alpha:g}" for alpha in left_out)
        _print(console, f"Left out, because they need more calibration {unit}: alpha {alphas}.")
    _print_notes(console, outcomes)


def print_outcome(
    manifest: Manifest, outcome: PolicyOutcome, classes: Sequence[ClassRejections]
) -> None:
    """Print the shares of one policy, and its false rejections by class."""
    console = table_console()
    policy = outcome.policy
    alpha = "none" if policy.alpha is None else f"{policy.alpha:g}"
    threshold = "by class" if outcome.threshold is None else f"{outcome.threshold:.4g}"
    _print(console, f"{_title(manifest, policy, f'alpha {alpha}')}; threshold {threshold}")
    table = Table()
    table.add_column("images", overflow="fold")
    table.add_column("share", justify="right")
    for name, share in figures(manifest, outcome).items():
        table.add_row(Text(name), _percent(share))
    for each in outcome.evaluation:
        images = f"attacked at {each.budget:g}/255" if each.budget else "clean"
        for name, share in each.missed.items():
            table.add_row(Text(f"missed: {name}, {images}"), _percent(share))
    console.print(table)
    if classes:
        by_class = Table(title="calibration images by predicted class")
        for name in ("class", "images", "rejected", "threshold"):
            by_class.add_column(name, justify="left" if name == "class" else "right")
        for row in classes:
            rejected = _percent(row.rejected / row.images if row.images else None)
            threshold = f"{row.threshold:.4g}{' (common)' if row.common else ''}"
            by_class.add_row(Text(row.label), f"{row.images:,}", rejected, threshold)
        console.print(by_class)
    _print_notes(console, [outcome])


def svg(manifest: Manifest, outcomes: Sequence[PolicyOutcome]) -> str:
    """Return a plot of the shares over alpha, which has a logarithmic axis."""
    columns = [figures(manifest, each) for each in outcomes]
    names = [name for name in columns[0] if all(name in column for column in columns)]
    alphas = [each.policy.false_rejection_rate for each in outcomes]
    low, high = math.log(min(alphas)), math.log(max(alphas))
    legend = 18 * len(names)

    def x(alpha: float) -> float:
        part = (math.log(alpha) - low) / (high - low) if high > low else 0.5
        return MARGIN + part * (WIDTH - 2 * MARGIN)

    def y(share: float) -> float:
        return HEIGHT - MARGIN - share * (HEIGHT - 2 * MARGIN)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT + legend}"'
        ' font-family="sans-serif" font-size="12">',
        '<rect width="100%" height="100%" fill="white"/>',
        f'<text x="{MARGIN}" y="30">{escape(_title(manifest, outcomes[0].policy))}</text>',
    ]
    parts += [
        f'<path d="M{MARGIN} {y(share):.1f}H{WIDTH - MARGIN}" stroke="#ddd"/>'
        f'<text x="{MARGIN - 8}" y="{y(share) + 4:.1f}" text-anchor="end">{share:.0%}</text>'
        for share in (0, 0.25, 0.5, 0.75, 1)
    ]
    parts += [
        f'<text x="{x(alpha):.1f}" y="{HEIGHT - MARGIN + 20}" text-anchor="middle">{alpha:g}</text>'
        for alpha in alphas
    ]
    parts.append(
        f'<text x="{WIDTH / 2}" y="{HEIGHT - MARGIN + 38}" text-anchor="middle">alpha</text>'
    )
    for index, name in enumerate(names):
        colour = COLOURS[index % len(COLOURS)]
        dash = ' stroke-dasharray="5 3"' if index >= len(COLOURS) else ""
        points = " ".join(
            f"{x(alpha):.1f},{y(column[name]):.1f}"
            for alpha, column in zip(alphas, columns, strict=True)
        )
        line = HEIGHT + 18 * index
        parts.append(
            f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"{dash}/>'
            f'<path d="M{MARGIN} {line}h24" stroke="{colour}" stroke-width="2"{dash}/>'
            f'<text x="{MARGIN + 32}" y="{line + 4}">{escape(name)}</text>'
        )
    return "\n".join([*parts, "</svg>", ""])


def _title(manifest: Manifest, policy: Policy, *rates: str) -> str:
    """Return the bundle and the policy, of which a grid has several `rates`."""
    texts = [
        f"{manifest.name} {manifest.version}: {policy.score}",
        *rates,
        f"delta {'none' if policy.delta is None else format(policy.delta, 'g')}",
        *(["by class"] if policy.by_class else []),
        *([f"under attack at {policy.under_attack}/255"] if policy.under_attack else []),
        *([f"beta {policy.beta:g}"] if policy.beta is not None else []),
    ]
    return ", ".join(texts)


def _print_notes(console: Console, outcomes: Sequence[PolicyOutcome]) -> None:
    """Print what is not known and what does not hold, with the values of alpha if they differ."""
    alphas_of: dict[tuple[str, str], list[float | None]] = {}
    for kind, field in (("Not known", "unknown"), ("Limitation", "limitations")):
        for each in outcomes:
            for text in getattr(each, field):
                alphas_of.setdefault((kind, text), []).append(each.policy.alpha)
    for (kind, text), alphas in alphas_of.items():
        named = ", ".join(f"{alpha:g}" for alpha in alphas if alpha is not None)
        of = "" if len(alphas) == len(outcomes) else f" at alpha {named}"
        _print(console, f"{kind}{of}: {text}.")


def _print(console: Console, text: str) -> None:
    console.print(text, markup=False, highlight=False, soft_wrap=True)


def _percent(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.3g} %"
