"""The figures of a wrapped classifier on clean images, and its model card."""

from collections.abc import Sequence
from typing import Literal

from oodguard.models.manifest import Description, FrozenModel
from oodguard.training.report.card import (
    chance_warnings,
    share,
    warning_paragraphs,
)
from oodguard.training.report.markdown import code_span, escape_markdown, markdown_table, percent
from oodguard.training.wrap.trials import GIVEN, Trials

SHOWN_CLASSES = 20

HARDLY_REJECTED = 0.8
"""The share of missed out-of-distribution images from which on a warning is given."""


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
    features: str | None = None
    images_read: tuple[str, ...] = ()
    calibration_images: int
    accuracy: float
    accuracy_images: int
    chance: float
    trials: Trials | None = None
    scores: dict[str, ScoreFigures]
    hardware: str
    command: str

    @property
    def mean_aurocs(self) -> dict[str, float]:
        """The mean AUROC over the out-of-distribution sets, by score; empty without sets."""
        return {
            name: sum(each.auroc for each in column.sets.values()) / len(column.sets)
            for name, column in self.scores.items()
            if column.sets
        }

    @property
    def suggested(self) -> str | None:
        """The score with the highest mean AUROC over the out-of-distribution sets."""
        aurocs = self.mean_aurocs
        return max(aurocs, key=aurocs.__getitem__) if aurocs else None

    @property
    def warnings(self) -> tuple[str, ...]:
        """Warnings of an accuracy near chance, and of sets that are hardly rejected."""
        return (*self._accuracy_warnings(), *self._miss_warnings())

    @property
    def is_near_chance(self) -> bool:
        """Whether a classifier that guesses could have the accuracy."""
        return bool(self._accuracy_warnings())

    def _miss_warnings(self) -> tuple[str, ...]:
        missed = {
            name: result.missed_ood_rate
            for name, result in self.scores[self.score].sets.items()
            if result.missed_ood_rate >= HARDLY_REJECTED
        }
        if not missed:
            return ()
        shares = ", ".join(f"{percent(rate)} of {name}" for name, rate in missed.items())
        return (f"the score {self.score} accepts {shares}: it rejects hardly any of these images",)

    def _accuracy_warnings(self) -> tuple[str, ...]:
        return tuple(
            f"{warning}, so the classifier probably receives other pixels than in its training:"
            " check --preset, --channel-order, --mean, --std, --scale, --layout and the order of"
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
        **({"features": escape_markdown(report.features)} if report.features else {}),
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
            wrapped_figures(report, report.warnings),
            "## Guarantee",
            _guarantee(report),
        )
    )


def wrapped_figures(report: WrapReport, warnings: Sequence[str] = ()) -> str:
    """Return the warnings, the table of clean figures and their conditions, in Markdown."""
    sets = list(report.scores[report.score].sets)
    rows = [
        [
            f"{name} (decides)" if name == report.score else name,
            *(_cell(row.sets[key]) for key in sets),
            percent(row.false_rejection_rate),
            f"{row.threshold:.6g}",
        ]
        for name, row in report.scores.items()
    ]
    heading = ["score", *map(escape_markdown, sets), "false rejections", "threshold"]
    table = markdown_table([heading, *rows])
    confidence = f" with confidence {percent(1 - report.delta)}" if report.delta else ""
    legend = (
        "Each cell: AUROC / missed OOD at the threshold, clean; under attack: not measured."
        if sets
        else "No out-of-distribution images were given, so none were measured (`--outliers`)."
    )
    parts = [
        f"Clean accuracy {percent(report.accuracy)} ({report.accuracy_images:,} images that did not"
        f" set the threshold; chance: {percent(report.chance)}). Alpha"
        f" {percent(report.alpha)}{confidence} from {report.calibration_images:,} calibration"
        " images.",
        *warning_paragraphs([escape_markdown(each) for each in warnings]),
        *_trials(report),
        table,
        *_suggestion(report),
        f"{legend} Images: {escape_markdown('; '.join(report.images_read))}. Measured with"
        f" {code_span(report.command)} on {escape_markdown(report.hardware)}.",
    ]
    return "\n\n".join(parts)


def _suggestion(report: WrapReport) -> tuple[str, ...]:
    """Return a paragraph that compares the scores, if out-of-distribution images were given."""
    if report.suggested is None:
        return ()
    ranked = sorted(report.mean_aurocs.items(), key=lambda each: -each[1])
    listed = ", ".join(f"{name} {share(auroc)}" for name, auroc in ranked)
    advice = (
        "the deciding score is the best"
        if report.suggested == report.score
        else f"the best is `{report.suggested}` (`--score {report.suggested}`)"
    )
    return (f"Mean AUROC by score: {listed}. On these sets {advice}.",)


def _trials(report: WrapReport) -> tuple[str, ...]:
    """Return what was tried to find the cause of a low accuracy, if there is a cause."""
    trials = report.trials
    if trials is None or not (trials.is_improved or report.is_near_chance):
        return ()
    orders = list(trials.tried[0].accuracies)
    table = markdown_table(
        [
            ["preprocessing", *(f"classes {order}" for order in orders)],
            *(
                [
                    f"`{each.options}`" if each.options.startswith("-") else each.options,
                    *(percent(each.accuracies[order]) for order in orders),
                ]
                for each in trials.tried
            ),
        ]
    )
    options, order, accuracy = trials.best
    parts = [each for each in (options, f"classes {order}") if GIVEN not in each]
    found = (
        f"The best is {percent(accuracy)} with {' and '.join(parts)}."
        if trials.is_improved
        else "None of them is significantly better."
    )
    if trials.order:
        names = escape_markdown(", ".join(trials.order[:SHOWN_CLASSES]))
        more = ", ..." if len(trials.order) > SHOWN_CLASSES else ""
        found += f" The outputs then are, in order: {names}{more}. Give them with `--classes`."
    return (
        f"The accuracy is low. Tried on {trials.images} of the images:",
        table,
        found,
    )


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
