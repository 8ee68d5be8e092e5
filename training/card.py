"""The model card: what a bundle's README.md says, written from its figures alone."""

from models.manifest import Description
from training.protocol_text import protocol_text
from training.report import Condition, Report
from training.table import percent, table

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
