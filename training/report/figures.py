"""The table of a report with its measurement conditions, in Markdown."""

from collections.abc import Iterator, Mapping, Sequence

from oodguard.models.counts import count_of
from oodguard.training.config.suites import SuiteAttack
from oodguard.training.report.chance_warnings import warning_paragraphs
from oodguard.training.report.markdown import (
    budget,
    code_span,
    escape_markdown,
    markdown_table,
    percent,
    share,
)
from oodguard.training.report.model import Condition, Report

STAMPS: Mapping[str, str] = {
    "trusted": "every check of the attack passed (trusted)",
    "partly checked": "no check of the attack failed, but some have no outcome (partly checked)",
    "not checked": "the attack was not checked",
    "untrusted": "**a check of the attack failed: do not trust the attacked figures**",
}


STRAIGHT_THROUGH = (
    " Gradients are those of the graph's float32 twin (straight-through estimator); scores are"
    " those of the INT8 graph."
)


def figures(report: Report, warnings: Sequence[str] = ()) -> str:
    """Return the warnings, the table of a report and its measurement conditions, in Markdown."""
    return "\n\n".join(
        (
            f"Clean accuracy {percent(report.accuracy)}"
            f" ({count_of(report.accuracy_images, 'test image')})."
            f" Score `{report.score}`, threshold {report.threshold:.6g}: alpha"
            f" {percent(report.alpha)}"
            + (f" with confidence {percent(1 - report.delta)}" if report.delta else "")
            + f" from {calibration_size(report.calibration_images, report.calibration_groups)}.",
            *warning_paragraphs(warnings),
            table(report),
            protocol_text(report),
            *_checks_without_outcome(report),
        )
    )


def calibration_size(images: int, groups: int | None) -> str:
    """Return the number of calibration images, and of the groups that count in their place."""
    text = f"{images:,} calibration images"
    return text if groups is None else f"{text} in {groups:,} groups, which count as one each"


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
        f" acceptance, by {_attack(suite.ascent)};"
        f" {count_of(first.inliers.images, 'test image')} and up to {outliers:,} of each set."
        " Each cell: AUROC / missed OOD at the served threshold."
        f"{end_to_end}{STRAIGHT_THROUGH if report.straight_through else ''}{_replayed(report)}"
        f" Suite `{suite.name}`; {STAMPS[report.trust.stamp]}.{_twin(report)} Measured with"
        f" {code_span(report.command)} in {report.duration_s / 60:.1f} minutes on"
        f" {escape_markdown(report.hardware)}."
    )


def _checks_without_outcome(report: Report) -> Iterator[str]:
    """Yield a heading and a list of these checks with the reasons, if there are any."""
    if checks := report.trust.without_outcome:
        yield "Checks of the attack without an outcome:"
        lines = (f"{each.name}: {each.reason}" if each.reason else each.name for each in checks)
        yield "\n".join(f"- {escape_markdown(line)}" for line in lines)


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
        f"APGD on the score, {ascent.steps} steps from"
        f" {count_of(ascent.restarts, 'start')}, the best iterate; every budget starts from"
        " the result of the smaller budget"
    )


def _twin(report: Report) -> str:
    if report.twin is None:
        return ""
    name, method = escape_markdown(report.twin.name), report.twin.method
    return f" The transfer check attacks {name}" + (f" (method `{method}`)." if method else ".")


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
