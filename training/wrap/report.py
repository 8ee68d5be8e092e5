"""The figures of a wrapped classifier on clean images, and its model card."""

from typing import Literal

from oodguard.models.manifest import Description, FrozenModel
from oodguard.training.report.card import (
    chance_warnings,
    percent,
    share,
    warning_paragraphs,
)
from oodguard.training.report.markdown import code_span, escape_markdown, markdown_table


class CleanResult(FrozenModel):
    """One out-of-distribution set, not attacked."""

    images: int
    auroc: float
    missed_ood_rate: float


class ScoreFigures(FrozenModel):
    """One score at the threshold of the policy, on images that did not set the threshold."""

    threshold: float
    false_rejection_rate: float
    sets: dict[str, CleanResult]


class WrapReport(FrozenModel):
    """The evaluation.json of a wrapped classifier.

    `attacked` records that nothing was measured under attack: wrapping takes a minute, an attack
    takes longer, and `oodguard-train evaluate` runs it on the bundle.
    """

    kind: Literal["wrapped"] = "wrapped"
    attacked: Literal["not measured"] = "not measured"
    score: str
    alpha: float
    delta: float | None
    pixels: str
    outputs: str
    images_read: tuple[str, ...] = ()
    calibration_images: int
    accuracy: float
    accuracy_images: int
    chance: float
    scores: dict[str, ScoreFigures]
    hardware: str
    command: str

    @property
    def warnings(self) -> tuple[str, ...]:
        """A warning if the accuracy suggests a wrong mean, std, scale or order of classes."""
        return tuple(
            f"{warning}, so the classifier probably receives other pixels than in its training:"
            " check --mean, --std, --scale, --layout and the order of"
            " --classes"
            for warning in chance_warnings(
                accuracy=self.accuracy,
                images=self.accuracy_images,
                classes=round(1 / self.chance),
            )
        )


NOT_HARDENED = (
    "**Not hardened, and no attack was measured.** This is an existing classifier with"
    " out-of-distribution scores added to its graph; its weights are unchanged. An imperceptible"
    " perturbation can make such a classifier reject in-distribution images and accept others, with"
    " any of these scores. The figures below are of clean images only; `oodguard-train evaluate"
    " BUNDLE --recipe RECIPE` attacks its graph."
)


def write_wrapped_card(description: Description, report: WrapReport) -> str:
    """Return the model card in Markdown."""
    training = description.training
    facts = {
        **{
            f"original {code_span(name)}": f"sha256 `{record.sha256}`, {record.bytes:,} bytes"
            for name, record in (training.origin or {}).items()
        },
        "training": "unknown",
        "classes": escape_markdown(", ".join(description.classes)),
        "input": f"uint8 RGB, {description.input.height}x{description.input.width};"
        f" other sizes: {description.input}",
        "preprocessing of the classifier": report.pixels,
        "outputs of the classifier": report.outputs,
        "parameters": f"{training.parameters:,}",
        "command": code_span(training.command),
        "libraries": ", ".join(f"{name} {v}" for name, v in training.libraries.items()),
    }
    return "\n\n".join(
        (
            f"# {description.name}, version {description.version}",
            NOT_HARDENED,
            markdown_table([["fact", ""], *([name, text] for name, text in facts.items())]),
            "## Figures",
            wrapped_figures(report),
            "## Guarantee",
            _guarantee(report),
        )
    )


def wrapped_figures(report: WrapReport) -> str:
    """Return the table of clean figures and their conditions, in Markdown."""
    names = list(report.scores)
    columns = list(report.scores.values())
    table = markdown_table(
        [
            ["set", *(f"{name}{' (decides)' if name == report.score else ''}" for name in names)],
            *(
                [escape_markdown(key), *(_cell(column.sets[key]) for column in columns)]
                for key in columns[0].sets
            ),
            ["false rejections", *(percent(column.false_rejection_rate) for column in columns)],
            ["threshold", *(f"{column.threshold:.6g}" for column in columns)],
        ]
    )
    confidence = f" with confidence {percent(1 - report.delta)}" if report.delta else ""
    legend = (
        "Each cell: AUROC / missed OOD at the threshold, clean; under attack: not measured."
        if columns[0].sets
        else "No out-of-distribution images were given, so none were measured (`--outliers`)."
    )
    parts = [
        f"Clean accuracy {percent(report.accuracy)} ({report.accuracy_images:,} images that did not"
        f" set the threshold; chance: {percent(report.chance)}). Alpha"
        f" {percent(report.alpha)}{confidence} from {report.calibration_images:,} calibration"
        " images.",
        *warning_paragraphs(report.warnings),
        table,
        f"{legend} Images: {escape_markdown('; '.join(report.images_read))}. Measured with"
        f" {code_span(report.command)} on {escape_markdown(report.hardware)}.",
    ]
    return "\n\n".join(parts)


def _cell(result: CleanResult) -> str:
    return f"{share(result.auroc)} / {percent(result.missed_ood_rate)}"


def _guarantee(report: WrapReport) -> str:
    confidence = f"with {percent(1 - report.delta)} confidence, " if report.delta else ""
    rate = report.scores[report.score].false_rejection_rate
    return (
        f"Of clean images from the distribution of the calibration images, {confidence}at most"
        f" {percent(report.alpha)} are rejected; of the test images {percent(rate)} were. There is"
        " no guarantee for the rate of missed out-of-distribution images, nor for images under"
        " attack.\n"
    )
