"""Write the model card, which is a bundle's README.md."""

from collections.abc import Mapping

from oodguard.models.calibration_rows import CalibrationRows
from oodguard.models.counts import count_of
from oodguard.models.manifest import Description
from oodguard.models.records import DataRecord, QuantizationRecord
from oodguard.training.report.chance_warnings import report_warnings
from oodguard.training.report.classes import classes_table
from oodguard.training.report.figures import figures
from oodguard.training.report.left_out import left_out_list
from oodguard.training.report.markdown import (
    code_block,
    code_span,
    escape_markdown,
    markdown_table,
    percent,
)
from oodguard.training.report.model import Report
from oodguard.training.report.promises import promises
from oodguard.training.run_progress import WeightsOrigin

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


def write_card(
    description: Description, report: Report, recipe_text: str, calibration: CalibrationRows
) -> str:
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
        **origin_facts(report),
        **quantization_facts(description.quantization),
        "seed": str(training.seed),
        "hardware": escape_markdown(training.hardware),
        "wall time": f"{training.duration_s / 60:.1f} minutes,"
        f" {count_of(training.epochs, 'epoch')}",
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
            *(["## Left out of the data", left_out] if (left_out := left_out_list(report)) else []),
            "## Guarantee",
            # A calibration with other images holds, whatever the network learned before.
            _guarantee(report) + ("" if description.calibration else _caveats(report)),
            *promises(description, calibration, report.policy),
            "## Recipe",
            code_block(recipe_text, "toml"),
        )
    )


def origin_facts(report: Report) -> dict[str, str]:
    """Return the rows of the card about the weights that the network learned from."""
    origins = {"teacher": report.teacher, "started from": report.started_from}
    return {
        fact: f"{code_span(origin.name)}, sha256 `{origin.sha256}`"
        for fact, origin in origins.items()
        if origin is not None
    }


def quantization_facts(record: QuantizationRecord | None) -> dict[str, str]:
    """Return the rows of the card about an INT8 graph; none for float32."""
    if record is None:
        return {}
    speeds = "; ".join(f"batch {size}: {ratio:g}" for size, ratio in record.speed.items())
    return {
        "precision": "INT8: uint8 activations, int8 weights per output channel; the first and the"
        " last linear layer and the scores in float32",
        "made from": f"the float32 bundle with sha256 `{record.source}`; {record.range_images:,}"
        " images set the ranges of the activations"
        + (f"; fine-tuned on {record.tuning_images:,} images" if record.tuning_images else ""),
        **({"quantized by": code_span(record.command)} if record.command else {}),
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


def _caveats(report: Report) -> str:
    return split_caveats(report.teacher, report.started_from)


def split_caveats(*origins: WeightsOrigin | None) -> str:
    """Return a sentence for each of the weights that were trained with another split."""
    return "".join(
        f" **{code_span(origin.name)}, from which this network learned, had another split of the"
        " images: if it learned some of the calibration images, the bound does not hold.**"
        for origin in origins
        if origin is not None and origin.same_split is False
    )
