"""Write the model card, which is a bundle's README.md, and the Markdown table of a report."""

from collections.abc import Mapping, Sequence

from oodguard.models.manifest import DataRecord, Description, QuantizationRecord
from oodguard.training.config.suites import SuiteAttack
from oodguard.training.report.classes import classes_table
from oodguard.training.report.markdown import (
    code_block,
    code_span,
    escape_markdown,
    markdown_table,
    percent,
)
from oodguard.training.report.metrics import wilson_interval
from oodguard.training.report.model import Condition, MeanAuroc, Report

STAMPS: Mapping[str, str] = {
    "trusted": "every check of the attack passed (trusted)",
    "partly checked": "no check of the attack failed, but some were not run (partly checked)",
    "not checked": "the attack was not checked",
    "untrusted": "**a check of the attack failed: do not trust the attacked figures**",
}

PURPOSE: Mapping[str, str] = {
    "wrapped": (
        "An existing classifier with out-of-distribution scores added to its graph. Its weights are"
        " unchanged. It is **not hardened**."
    ),
    "standard": (
        "Trained without any defence: the undefended twin that shows the effect of hardening."
        " **Do not deploy it.**"
    ),
    "oe": (
        "Trained with outlier exposure (Hendrycks et al., arXiv:1812.04606): low confidence on"
        " auxiliary outliers. It is **not hardened** against attacks."
    ),
    "adv": (
        "Trained on inliers attacked towards a wrong class (Madry et al., arXiv:1706.06083), and on"
        " no outliers: **not hardened on the outliers' side.**"
    ),
    "aoe": (
        "Trained on inliers attacked towards a wrong class and on clean auxiliary outliers (AOE in"
        " Chen et al., arXiv:2003.09711): **not hardened on the outliers' side.**"
    ),
    "aloe": (
        "Hardened with ALOE (Chen et al., arXiv:2003.09711): trained on inliers attacked towards"
        " a wrong class and on auxiliary outliers attacked towards confidence."
    ),
    "aloe-abstain": (
        "Hardened with ALOE (Chen et al., arXiv:2003.09711) and a reject class (Chen et al.,"
        " arXiv:2006.15207): trained on inliers attacked towards a wrong class and on auxiliary"
        " outliers, labelled with the reject class and attacked away from it."
    ),
    "trades-aloe": (
        "Hardened with ALOE (Chen et al., arXiv:2003.09711) in the form of TRADES (Zhang et al.,"
        " arXiv:1901.08573): trained on clean inliers and auxiliary outliers, and on the divergence"
        " between the outputs for each image and for its attacked version."
    ),
    "acet": (
        "Trained with ACET (Hein et al., arXiv:1812.05720) on auxiliary outliers attacked towards"
        " confidence and on clean inliers: **not hardened on the inliers' side.**"
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
        "Trained with ATOM (Chen et al., arXiv:2006.15207): a reject class, trained on the"
        " auxiliary outliers that are most similar to inliers, some of them attacked away from"
        " rejection, and clean inliers: **not hardened on the inliers' side.**"
    ),
}
"""The first paragraph of the card for each training method."""


def write_card(description: Description, report: Report, recipe_text: str) -> str:
    """Return the card in Markdown."""
    training = description.training
    outliers = training.outliers
    facts = {
        "classes": escape_markdown(", ".join(description.classes)),
        "input": f"uint8 RGB, {description.input.height}x{description.input.width};"
        f" other sizes: {description.input}",
        "network": f"{escape_markdown(training.network)}, {training.parameters:,} parameters",
        "training images": _data(training.inliers),
        "outlier images": _data(outliers) if outliers else "none",
        "hardened at": f"{training.epsilon * 255:g}/255 (L-infinity)"
        if training.epsilon
        else "not hardened",
        **quantization_facts(description.quantization),
        "seed": str(training.seed),
        "hardware": escape_markdown(training.hardware),
        "wall time": f"{training.duration_s / 60:.1f} minutes, {training.epochs} epochs",
        "command": code_span(training.command),
        "libraries": ", ".join(f"{name} {v}" for name, v in training.libraries.items()),
    }
    return "\n\n".join(
        (
            f"# {description.name}, version {description.version}",
            PURPOSE[training.method],
            *([f"**Quick evaluation.** {notice}"] if (notice := quick_notice(report)) else []),
            markdown_table([["fact", ""], *([name, text] for name, text in facts.items())]),
            "## Figures",
            figures(report, report_warnings(report, classes=len(description.classes))),
            *(["## Classes", classes] if (classes := classes_table(report)) else []),
            "## Guarantee",
            _guarantee(report),
            "## Recipe",
            code_block(recipe_text, "toml"),
        )
    )


def quantization_facts(record: QuantizationRecord | None) -> dict[str, str]:
    """Return the rows of the card about an INT8 graph; none for float32."""
    if record is None:
        return {}
    speeds = "; ".join(f"batch {size}: {ratio:g}" for size, ratio in record.speed.items())
    return {
        "precision": "INT8: uint8 activations, int8 weights per output channel; the first and the"
        " last linear layer and the scores in float32",
        "made from": f"the float32 bundle with sha256 `{record.source}`; {record.range_images:,}"
        " images set the ranges of the activations",
        "difference from float32": f"{record.class_flips:.2%} of the predicted classes and"
        f" {record.decision_flips:.2%} of the decisions, each graph at its own threshold; the"
        f" deciding score by at most {record.largest_difference:.3g}"
        f" ({record.compared_images:,} images)",
        "speed, times float32": f"{speeds} (one thread, {escape_markdown(record.hardware)})",
    }


def _data(record: DataRecord) -> str:
    return f"{record.images:,} of {escape_markdown(record.name)}"


def quick_notice(report: Report) -> str:
    """Return the notice on figures of the suite `quick`; empty for other suites."""
    if report.suite.name != "quick":
        return ""
    return (
        "The figures are those of the suite quick, which attacks fewer images in fewer steps than"
        " the suite standard, so they may overestimate the robustness. Evaluate with the suite"
        " standard before deployment."
    )


def chance_warnings(
    *, accuracy: float, images: int, classes: int, clean: MeanAuroc | None = None
) -> tuple[str, ...]:
    """Return a warning for each clean figure that a random classifier could have.

    The accuracy of K classes on `images` images is near chance if its Wilson interval reaches 1 / K
    or less. `clean` is the mean AUROC; it is at chance if its interval reaches 0.5 or less.
    """
    warnings = []
    interval = wilson_interval(accuracy, images)
    if interval.low <= 1 / classes:
        warnings.append(
            f"the accuracy is {percent(accuracy)}, near chance ({percent(1 / classes)} for"
            f" {classes} classes): the 95 % Wilson interval of {images:,} images is"
            f" {percent(interval.low)} to {percent(interval.high)}"
        )
    if clean is not None and clean.auroc_interval.low <= 0.5:
        warnings.append(
            f"the mean AUROC of clean images is {share(clean.auroc)}, not significantly above .500,"
            " the value of a random score"
        )
    return tuple(warnings)


def report_warnings(report: Report, *, classes: int) -> tuple[str, ...]:
    """Return the chance warnings of a report on a classifier of that many classes."""
    clean = report.conditions[0].mean["clean"]
    return chance_warnings(
        accuracy=report.accuracy, images=report.accuracy_images, classes=classes, clean=clean
    )


def warning_paragraphs(warnings: Sequence[str]) -> tuple[str, ...]:
    """Return one paragraph in Markdown for each warning."""
    return tuple(f"**Warning:** {warning}." for warning in warnings)


def figures(report: Report, warnings: Sequence[str] = ()) -> str:
    """Return the warnings, the table of a report and its measurement conditions, in Markdown."""
    return "\n\n".join(
        (
            f"Clean accuracy {percent(report.accuracy)} ({report.accuracy_images:,} test images)."
            f" Score `{report.score}`, threshold {report.threshold:.6g}: alpha"
            f" {percent(report.alpha)}"
            + (f" with confidence {percent(1 - report.delta)}" if report.delta else "")
            + f" from {report.calibration_images:,} calibration images.",
            *warning_paragraphs(warnings),
            table(report),
            protocol_text(report),
        )
    )


def table(report: Report) -> str:
    """Return a Markdown table with one column for every budget and one row for every set."""
    conditions = report.conditions
    rows = [
        ["set", *(budget(c.epsilon_255) for c in conditions)],
        *(
            [escape_markdown(name), *(_cell(c, name) for c in conditions)]
            for name in conditions[0].sets
        ),
        [
            "**mean**",
            *(f"**{share(c.mean_auroc)}** / {percent(c.mean_missed_ood_rate)}" for c in conditions),
        ],
        ["false rejections", *(percent(c.false_rejection_rate) for c in conditions)],
    ]
    if any(c.inliers.end_to_end for c in conditions):
        outcomes = [c.inliers.end_to_end or conditions[0].inliers.decisions for c in conditions]
        rows.append(["wrong and accepted", *(percent(each.accepted_wrong) for each in outcomes)])
    return markdown_table(rows)


def protocol_text(report: Report) -> str:
    """Return the measurement conditions of the table in one paragraph."""
    suite, first = report.suite, report.conditions[0]
    outliers = max(result.images for result in first.sets.values())
    end_to_end = (
        " Wrong and accepted: in-distribution images attacked towards a wrong class *and*"
        f" acceptance at once, {suite.ascent.end_to_end} steps."
        if suite.ascent.end_to_end
        else ""
    )
    return (
        "Attacked on both sides: in-distribution images towards rejection, outliers towards"
        f" acceptance, by {_attack(suite.ascent)}; {first.inliers.images:,} test images and up to"
        f" {outliers:,} of each set. Each cell: AUROC / missed OOD at the served threshold."
        f"{end_to_end}{_replayed(report)}"
        f" Suite `{suite.name}`; {STAMPS[report.trust.stamp]}. Measured with"
        f" {code_span(report.command)} in {report.duration_s / 60:.1f} minutes on"
        f" {escape_markdown(report.hardware)}."
    )


def share(value: float) -> str:
    """Write a fraction with three decimals."""
    return f"{value:.3f}".removeprefix("0")


def budget(epsilon_255: float) -> str:
    """Write an attack budget; 0 is clean."""
    return f"{epsilon_255:g}/255" if epsilon_255 else "clean"


def _cell(condition: Condition, name: str) -> str:
    missed = condition.sets[name].missed_ood_rate
    return f"{share(condition.auroc(name))} / {percent(missed)}"


def _attack(ascent: SuiteAttack) -> str:
    if ascent.kind == "pgd":
        return (
            f"PGD on the score, {ascent.steps} steps of {ascent.step_255:g}/255 from a random"
            " start, the last iterate"
        )
    if ascent.kind == "black-box":
        return (
            f"a black-box attack on the score, Square with {ascent.steps} queries and APGD"
            " transferred from a surrogate network that was distilled from the graph's outputs,"
            " the better of both (torch cannot run the graph: a white-box attack, which achieves"
            " more, was not possible)"
        )
    return (
        f"APGD on the score, {ascent.steps} steps from {ascent.restarts}"
        f" start{'s' if ascent.restarts > 1 else ''}, the best iterate; every budget starts from"
        " the result of the smaller budget"
    )


def _replayed(report: Report) -> str:
    differences = [
        abs(condition.mean_auroc - condition.replayed.mean_auroc)
        for condition in report.conditions
        if condition.replayed is not None
    ]
    if not differences:
        return ""
    return (
        f" Rounded to whole 255ths and scored by {report.replayed_by}, the same images give a mean"
        f" AUROC that differs by at most {max(differences):.3f}."
    )


def _guarantee(report: Report) -> str:
    clean = report.conditions[0]
    confidence = f"with {percent(1 - report.delta)} confidence, " if report.delta else ""
    missed = [result.missed_ood_rate for result in clean.sets.values()]
    return (
        f"Of clean images drawn like the calibration images, {confidence}at most"
        f" {percent(report.alpha)} are rejected; of the test images"
        f" {percent(clean.false_rejection_rate)} were. There is no guarantee for the fraction of"
        " missed out-of-distribution images: it depends on the images. In the sets above it was"
        f" {percent(min(missed))} to {percent(max(missed))} without an attack. An attacker within"
        " the budgets above achieves at least the figures of the table; a larger budget or a"
        " stronger attack achieves more."
    )
