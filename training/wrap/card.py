"""The model card of a wrapped classifier, and its figures in Markdown."""

from collections.abc import Sequence

from oodguard.models.manifest import Description
from oodguard.training.report.chance_warnings import warning_paragraphs
from oodguard.training.report.figures import calibration_size
from oodguard.training.report.markdown import (
    code_span,
    escape_markdown,
    markdown_table,
    percent,
    share,
)
from oodguard.training.wrap.report import CleanResult, WrapReport
from oodguard.training.wrap.trials import Trials

SHOWN_CLASSES = 20

CHANCE = 0.5
"""The AUROC of a random score."""

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
        f" {percent(report.alpha)}{confidence} from"
        f" {calibration_size(report.calibration_images, report.calibration_groups)}.",
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
    if report.is_in_doubt:
        return (
            f"Mean AUROC by score: {listed}. Compare the scores once the accuracy is right: the"
            " preprocessing changes them.",
        )
    advice = (
        "the deciding score is the best"
        if report.suggested == report.score
        else f"the best is `{report.suggested}` (`--score {report.suggested}`)"
    )
    if ranked[0][1] <= CHANCE:
        advice += ", but no score is better than a random one (.500)"
    return (f"Mean AUROC by score: {listed}. On these sets {advice}.",)


def _trials(report: WrapReport) -> tuple[str, ...]:
    """Return what was tried to find the cause of a low accuracy, if there is a cause."""
    trials = report.trials
    if trials is None or not report.is_in_doubt:
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
    found = (
        f"The best is {percent(trials.best[2])} with {trials.best_change}."
        if trials.is_improved
        else "None of them is significantly better."
    )
    if trials.untried:
        found += f" {trials.untried} other preprocessings were not tried for lack of time."
    if trials.order:
        found += f" {_order(trials)}"
    return (
        f"The accuracy is low. Tried on {trials.images} of the images, of the classes in turn, in"
        f" {trials.duration_s:.1f} s:",
        table,
        found,
    )


def _order(trials: Trials) -> str:
    """Return the order of the classes that fits, as far as it is known."""
    names = escape_markdown(", ".join(trials.order[:SHOWN_CLASSES]))
    more = (
        f", ... (all {len(trials.order):,}: `trials.order` in `evaluation.json`)"
        if len(trials.order) > SHOWN_CLASSES
        else ""
    )
    unknown = escape_markdown(", ".join(trials.unplaced[:SHOWN_CLASSES]))
    unplaced = f" The positions of {unknown} are not known: no image of them was tried."
    return (
        f"The outputs then are, in order: {names}{more}. Give them with `--classes`, a file with"
        f" one name per line.{unplaced if trials.unplaced else ''}"
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
