"""The model card of an INT8 bundle."""

from collections.abc import Sequence

from oodguard.models.decision import Policy
from oodguard.models.manifest import Description, Manifest
from oodguard.training.report.card import quantization_facts, split_caveats
from oodguard.training.report.markdown import escape_markdown, markdown_table, percent
from oodguard.training.run_progress import WeightsOrigin

ROBUSTNESS = (
    "No attack was run on this graph. The evaluation of the float32 bundle is in `evaluation.json`"
    " under `float32`; it describes the other graph. `oodguard-train evaluate BUNDLE` attacks this"
    " one."
)


def write_quantized_card(  # noqa: PLR0913  (all that the card states)
    description: Description,
    source: Manifest,
    policy: Policy,
    calibration_images: int,
    warning: str | None,
    origins: Sequence[WeightsOrigin | None],
) -> str:
    """Return the card in Markdown, with the warning about the calibration images, if any.

    `origins` are the weights that the network learned from.
    """
    epsilon = source.training.epsilon
    facts = {
        "training": f"that of {source.name}, version {source.version}; "
        + (f"hardened at {epsilon * 255:g}/255 (L-infinity)" if epsilon else "not hardened"),
        "classes": escape_markdown(", ".join(description.classes)),
        **quantization_facts(description.quantization),
    }
    confidence = f"with {percent(1 - policy.delta)} confidence, " if policy.delta else ""
    return "\n\n".join(
        (
            f"# {description.name}, version {description.version}",
            f"The INT8 graph of {source.name}.",
            markdown_table([["fact", ""], *([name, text] for name, text in facts.items())]),
            "## Robustness",
            ROBUSTNESS,
            "## Guarantee",
            *([f"**Warning:** {warning}."] if warning else []),
            f"Of clean images from the distribution of the {calibration_images:,} calibration"
            f" images, {confidence}at most {percent(policy.false_rejection_rate)} are rejected."
            " The thresholds come from the scores of the INT8 graph on a CPU that computes INT8"
            " products exactly (VNNI on x86). There is no guarantee for the rate of missed"
            " out-of-distribution images, nor for images under attack."
            f"{split_caveats(*origins)}\n",
        )
    )
