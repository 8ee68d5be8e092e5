"""What an engineer can do with the figures, said only where a figure says it."""

from statistics import NormalDist

from training.evidence import Evidence
from training.html.legend import budget
from training.html.markup import Markup, element, joined
from training.html.numerals import percent
from training.html.section import paragraph, section
from training.html.shown_budget import shown_condition
from training.html.table import table
from training.html.trade import trades
from training.report import Condition, Report

CHANCE = 0.5


def advice_section(report: Report, evidence: Evidence) -> Markup:
    """Return the advice as a list, and what moving alpha would trade."""
    shown = shown_condition(report)
    said = [
        *([_distrust()] if report.trust.stamp == "untrusted" else []),
        _missed(report.conditions[0], shown),
        _promise(report),
        *_strength(report),
        *([_end_to_end(shown)] if shown and shown.inliers.end_to_end else []),
    ]
    return section(
        "What to do with this",
        element("ul", *(element("li", each) for each in said), class_="advice"),
        *_trade(report, evidence, shown),
    )


def _distrust() -> Markup:
    return joined(
        element("strong", "Mend the attack first."),
        " The figures for attacked images are stamped untrusted; the clean ones stand.",
    )


def _missed(clean: Condition, shown: Condition | None) -> Markup:
    """Name the set that is missed most, clean, and what would help."""
    missed = {name: result.missed_ood_rate for name, result in clean.sets.items()}
    worst = max(missed, key=missed.__getitem__)
    best = min(missed, key=missed.__getitem__)
    attacked = (
        f", {percent(shown.sets[worst].missed_ood_rate)} attacked at {budget(shown.epsilon_255)}"
        if shown
        else ""
    )
    least = f" {best} is missed least, {percent(missed[best])}." if best != worst else ""
    return joined(
        element("strong", worst),
        f" is missed most: {percent(missed[worst])} of it is accepted unattacked{attacked}. If such"
        " pictures can reach you, add others of their kind to the outliers of the recipe and train"
        f" again; until then do not count on rejection for them.{least}",
    )


def _promise(report: Report) -> Markup:
    """Compare false rejections with the promise, allowing for the size of the sample."""
    inliers = report.conditions[0].inliers
    found, alpha = inliers.decisions.rejected, report.alpha
    chance = NormalDist().inv_cdf(0.975) * (alpha * (1 - alpha) / inliers.images) ** 0.5
    if found <= alpha:
        rest = "as promised."
    elif found <= alpha + chance:
        rest = f"above the promise by no more than chance does with {inliers.images:,} images."
    else:
        rest = (
            "more than chance allows. The test images are not like the calibration images:"
            " calibrate on images from where the guard will work."
        )
    return joined(
        element("strong", f"{percent(found)} of clean in-distribution images were rejected"),
        f" where at most {percent(alpha)} is promised: {rest} The promise holds for clean images"
        " drawn like the calibration images alone.",
    )


def _strength(report: Report) -> list[Markup]:
    """Say up to which budget rejection still means something."""
    attacked = [condition for condition in report.conditions if condition.epsilon_255]
    if not attacked:
        return [joined("No attack was tried: nothing is known of this guard under attack.")]
    broken = next((c for c in attacked if c.mean_auroc <= CHANCE), None)
    if broken is None:
        last = attacked[-1]
        return [
            joined(
                f"Up to {budget(last.epsilon_255)}, the largest budget tried, an attacker on both"
                f" sides leaves a mean AUROC of {last.mean_auroc:.3f}. Larger ones are unknown."
            )
        ]
    return [
        joined(
            element("strong", f"From {budget(broken.epsilon_255)} on"),
            " an attacker who knows the network makes the ranking no better than chance (mean AUROC"
            f" {broken.mean_auroc:.3f}). If yours can change pixels that much, train at a larger"
            " epsilon, and do not let rejection be your only defence.",
        )
    ]


def _end_to_end(shown: Condition) -> Markup:
    wrong = shown.inliers.end_to_end.accepted_wrong if shown.inliers.end_to_end else 0.0
    return joined(
        f"At {budget(shown.epsilon_255)} an attacker gets a wrong class",
        element("strong", " and "),
        f"acceptance for {percent(wrong)} of in-distribution images. Where a wrong answer costs"
        " much, have accepted answers confirmed by something else.",
    )


def _trade(report: Report, evidence: Evidence, shown: Condition | None) -> list[Markup]:
    clean = evidence.conditions[0]
    attacked = next(
        (c.outliers for c in evidence.conditions if shown and c.epsilon_255 == shown.epsilon_255),
        {},
    )
    rows = [
        (
            percent(each.rejected),
            percent(each.missed),
            *([percent(each.missed_attacked)] if each.missed_attacked is not None else []),
        )
        for each in trades(clean.inliers, clean.outliers, attacked)
    ]
    columns = ["in-distribution rejected", "OOD missed, clean"]
    if shown:
        columns.append(f"OOD missed, attacked at {budget(shown.epsilon_255)}")
    return [
        paragraph(
            f"A larger alpha rejects more of both. Now it is {percent(report.alpha)}; the service"
            " takes another one as ",
            element("code", "OODGUARD_ALPHA"),
            " without a new export. On these test images, mean over the sets:",
        ),
        table("What moving the threshold trades", columns, rows),
    ]
