"""The model card: what a bundle's README.md says, written from its figures alone."""

from collections.abc import Mapping, Sequence

from oodguard.models.manifest import Description
from oodguard.training.config.suites import Ascent
from oodguard.training.report.model import Condition, Report

STAMPS: Mapping[str, str] = {
    "trusted": "every check of the attack passed (trusted)",
    "partly checked": "no check of the attack failed, and not all were made (partly checked)",
    "not checked": "the attack was not checked",
    "untrusted": "**a check of the attack failed: the attacked figures are not to be trusted**",
}


def protocol_text(report: Report) -> str:
    """Return the conditions that a report's table was measured under."""
    suite, first = report.suite, report.conditions[0]
    outliers = max(result.images for result in first.sets.values())
    return (
        "Attacked on both sides: in-distribution images towards rejection, outliers towards"
        f" acceptance, by {_attack(suite.ascent)}; {first.inliers.images:,} test images and up to"
        f" {outliers:,} of each set. Each cell: AUROC / missed OOD at the served threshold."
        + _end_to_end(suite.ascent)
        + _replayed(report)
        + f" Suite `{suite.name}`; {STAMPS[report.trust.stamp]}. Measured with"
        f" `{report.command}` in {report.duration_s / 60:.1f} minutes on {report.hardware}."
    )


def _attack(ascent: Ascent) -> str:
    if ascent.kind == "pgd":
        return (
            f"PGD on the score itself, {ascent.steps} steps of {ascent.step_255:g}/255 from a"
            " random start, of which the last iterate counts"
        )
    starts = f"{ascent.restarts} start{'s' if ascent.restarts > 1 else ''}"
    return (
        f"APGD on the score itself, {ascent.steps} steps from {starts}, the best iterate counts,"
        " and every budget goes on from what the smaller one found"
    )


def _end_to_end(ascent: Ascent) -> str:
    if not ascent.end_to_end:
        return ""
    return (
        " Wrong and accepted: in-distribution images pushed to a wrong class *and* acceptance at"
        f" once, {ascent.end_to_end} steps."
    )


def _replayed(report: Report) -> str:
    pairs = [
        abs(condition.mean_auroc - condition.replayed.mean_auroc)
        for condition in report.conditions
        if condition.replayed is not None
    ]
    if not pairs:
        return ""
    return (
        f" In whole 255ths, as a file holds them, and judged by {report.replayed_by}, the same"
        f" images give a mean AUROC that differs by at most {max(pairs):.3f}."
    )


def percent(share: float) -> str:
    """Write a share as a percentage of at most one decimal."""
    return f"{100 * share:.1f}".removesuffix(".0") + " %"


def share(value: float) -> str:
    """Write a share as a decimal fraction of three places."""
    return f"{value:.3f}".removeprefix("0")


def table(report: Report) -> str:
    """Return one column for every attack budget and one row for every set, with their means."""
    conditions = report.conditions
    rows = [
        ["set", *(_budget(condition) for condition in conditions)],
        ["---", *("---" for _ in conditions)],
        *([name, *(_cell(c, name) for c in conditions)] for name in conditions[0].sets),
        ["**mean**", *(_mean(condition) for condition in conditions)],
        ["false rejections", *(percent(c.false_rejection_rate) for c in conditions)],
        *_end_to_end_table(conditions),
    ]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _budget(condition: Condition) -> str:
    return f"{condition.epsilon_255:g}/255" if condition.epsilon_255 else "clean"


def _end_to_end_table(conditions: Sequence[Condition]) -> list[list[str]]:
    """Return the row of images pushed to a wrong class that is accepted, if that was tried."""
    found = [c.inliers.end_to_end for c in conditions]
    if not any(found):
        return []
    clean = conditions[0].inliers.decisions
    shares = (decisions or clean for decisions in found)
    return [["wrong and accepted", *(percent(each.accepted_wrong) for each in shares)]]


def _cell(condition: Condition, name: str) -> str:
    missed = condition.sets[name].missed_ood_rate
    return f"{share(condition.auroc(name))} / {percent(missed)}"


def _mean(condition: Condition) -> str:
    return f"**{share(condition.mean_auroc)}** / {percent(condition.mean_missed_ood_rate)}"


PURPOSE = {
    "wrapped": (
        "Somebody's classifier with out-of-distribution scores added to its graph; its weights are"
        " unchanged. It is **not hardened**."
    ),
    "standard": (
        "Trained plainly, with no defence: the undefended twin that shows what hardening is for."
        " **Do not put it in front of anything.**"
    ),
    "oe": (
        "Trained with outlier exposure (Hendrycks et al., arXiv:1812.04606): auxiliary outliers are"
        " to be answered without confidence. It is **not hardened** against attacks."
    ),
    "adv": (
        "Trained on inliers attacked towards a wrong class (Madry et al., arXiv:1706.06083). It has"
        " seen no outlier: **not hardened on the outliers' side.**"
    ),
    "aoe": (
        "Trained on inliers attacked towards a wrong class and on auxiliary outliers as they are"
        " (AOE in Chen et al., arXiv:2003.09711): **not hardened on the outliers' side.**"
    ),
    "aloe": (
        "Hardened with ALOE (Chen et al., arXiv:2003.09711): trained on inliers attacked towards"
        " a wrong class and on auxiliary outliers attacked towards confidence."
    ),
    "aloe-abstain": (
        "Hardened with ALOE (Chen et al., arXiv:2003.09711) and a reject class (Chen et al.,"
        " arXiv:2006.15207): trained on inliers attacked towards a wrong class and on auxiliary"
        " outliers, which are a class of their own, attacked away from it."
    ),
    "trades-aloe": (
        "Hardened like ALOE (Chen et al., arXiv:2003.09711) in the form of TRADES (Zhang et al.,"
        " arXiv:1901.08573): trained on clean inliers and auxiliary outliers, and to answer each as"
        " it answers its attacked self."
    ),
    "acet": (
        "Trained with ACET (Hein et al., arXiv:1812.05720) on auxiliary outliers attacked towards"
        " confidence and on inliers as they are: **not hardened on the inliers' side.**"
    ),
    "energy-oe": (
        "Trained with energy-bounded outlier exposure (Liu et al., arXiv:2010.03759): low energies"
        " for inliers, high ones for auxiliary outliers. It is **not hardened** against attacks."
    ),
    "energy-aloe": (
        "Hardened with energy-bounded outlier exposure (Liu et al., arXiv:2010.03759) under attack:"
        " trained on inliers attacked towards a wrong class and high energy and on auxiliary"
        " outliers attacked towards low energy."
    ),
    "atom": (
        "Trained with ATOM (Chen et al., arXiv:2006.15207): a reject class, learnt from the"
        " auxiliary outliers that look most like inliers, a part of them attacked away from"
        " rejection, and inliers as they are: **not hardened on the inliers' side.**"
    ),
}


def write_card(description: Description, report: Report, recipe_text: str) -> str:
    """Return the card in Markdown."""
    training = description.training
    outliers = training.outliers
    facts = {
        "classes": ", ".join(description.classes),
        "input": f"uint8 RGB, {description.input.height}x{description.input.width};"
        f" other sizes: {description.input.fit}, {description.input.resample}",
        "network": f"{training.network}, {training.parameters:,} parameters",
        "training images": f"{training.inliers.images:,} of {training.inliers.name}",
        "outlier images": f"{outliers.images:,} of {outliers.name}" if outliers else "none",
        "hardened at": f"{training.epsilon * 255:g}/255 (L-infinity)"
        if training.epsilon
        else "not hardened",
        "seed": str(training.seed),
        "hardware": training.hardware,
        "wall time": f"{training.duration_s / 60:.1f} minutes, {training.epochs} epochs",
        "command": f"`{training.command}`",
        "libraries": ", ".join(f"{name} {v}" for name, v in training.libraries.items()),
    }
    return "\n\n".join(
        (
            f"# {description.name}, version {description.version}",
            PURPOSE[training.method],
            "\n".join(
                ("| fact | |", "| --- | --- |", *(f"| {k} | {v} |" for k, v in facts.items()))
            ),
            "## Figures",
            figures(report),
            "## What the decision promises",
            _promise(report),
            "## Recipe",
            f"```toml\n{recipe_text.strip()}\n```\n",
        )
    )


def figures(report: Report) -> str:
    """Return the honest table with the conditions that it was measured under."""
    return "\n\n".join(
        (
            f"Clean accuracy {percent(report.accuracy)} ({report.accuracy_images:,} test images)."
            f" Score `{report.score}`, threshold {report.threshold:.6g}: alpha"
            f" {percent(report.alpha)}"
            + (f" with confidence {percent(1 - report.delta)}" if report.delta else "")
            + f" from {report.calibration_images:,} calibration images.",
            table(report),
            protocol_text(report),
        )
    )


def _promise(report: Report) -> str:
    clean = next(c for c in report.conditions if c.epsilon_255 == 0)
    confidence = f"with {percent(1 - report.delta)} confidence, " if report.delta else ""
    return (
        f"Of clean images drawn like the calibration images, {confidence}at most"
        f" {percent(report.alpha)} are rejected; of the test images"
        f" {percent(clean.false_rejection_rate)} were. Nothing is promised about how many"
        " out-of-distribution images are missed: that depends on what comes, and in the sets above"
        f" it was {_range(clean)} unattacked. An attacker within the budgets above can do at least"
        " what the table says; a larger budget or a stronger attack does more."
    )


def _range(condition: Condition) -> str:
    missed = [result.missed_ood_rate for result in condition.sets.values()]
    return f"{percent(min(missed))} to {percent(max(missed))}"
