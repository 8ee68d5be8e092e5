"""The report as one HTML file that fetches nothing and runs nothing."""

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, zip_longest
from pathlib import Path
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from oodguard.training.config.suites import Ascent
from oodguard.training.report import charts as svg
from oodguard.training.report.charts import budget, histogram_section, roc_section, security_section
from oodguard.training.report.html_helpers import (
    Markup,
    element,
    joined,
    paragraph,
    percent,
    section,
    shown_condition,
    table,
)
from oodguard.training.report.metrics import Scores, false_rejection_rate, missed_ood_rate
from oodguard.training.report.model import (
    Check,
    Condition,
    Decisions,
    EvaluationEvidence,
    FalseAccept,
    Interval,
    Ranking,
    Report,
    Side,
    Trust,
)

REJECTED = (0.01, 0.02, 0.05, 0.1, 0.2)
"""The shares of clean in-distribution images that the rows give away."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Trade:
    """One threshold: the share of in-distribution images that it rejects, and of OOD it misses.

    `missed_attacked` is None where nothing was attacked. Means are plain ones over the sets.
    """

    rejected: float
    missed: float
    missed_attacked: float | None


def trades(
    inliers: Scores, outliers: Mapping[str, Scores], attacked: Mapping[str, Scores]
) -> list[Trade]:
    """Return what each of `REJECTED` buys, by clean scores and by those of attacked outliers."""
    limits = [limit_rejecting(inliers, share) for share in REJECTED]
    return [
        Trade(
            rejected=false_rejection_rate(inliers, limit),
            missed=_mean_missed(list(outliers.values()), limit),
            missed_attacked=_mean_missed(list(attacked.values()), limit) if attacked else None,
        )
        for limit in limits
    ]


def limit_rejecting(inliers: Scores, share: float) -> float:
    """Return the lowest score of `(n,)` above which at most this share of them lies."""
    most = int(np.floor(share * len(inliers) + 1e-9))
    return float(np.sort(inliers)[len(inliers) - 1 - most])


def _mean_missed(sets: Sequence[Scores], limit: float) -> float:
    return float(np.mean([missed_ood_rate(scores, limit) for scores in sets]))


CHANCE = 0.5


def advice_section(report: Report, evidence: EvaluationEvidence) -> Markup:
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


def _trade(report: Report, evidence: EvaluationEvidence, shown: Condition | None) -> list[Markup]:
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


WIDTH, HEIGHT = 220.0, 16.0

KINDS = {
    "accept-right": "accepted, right",
    "accept-wrong": "accepted, wrong",
    "reject": "rejected",
}


def decisions_section(report: Report) -> Markup:
    """Return the matrix, clean and under both kinds of attack."""
    inliers = [(budget(c.epsilon_255), c.inliers) for c in report.conditions]
    outcomes = [(name, result.decisions) for name, result in inliers]
    outcomes += [
        (f"{name}, end to end", result.end_to_end)
        for name, result in inliers
        if result.end_to_end is not None
    ]
    return section(
        "What a user of the classifier gets",
        paragraph(
            f"Images of {report.test_set} at the served threshold. Attacked, they are pushed"
            " towards rejection; end to end, towards a wrong class that is accepted, which is the"
            " mistake that nobody notices."
        ),
        _legend(),
        table(
            "In-distribution images",
            ("attack", *KINDS.values(), "right, of those accepted", "shares"),
            [_row(i, name, each) for i, (name, each) in enumerate(outcomes)],
        ),
    )


def outcome_bar(decisions: Decisions, *, key: str, title: str) -> Markup:
    """Draw the three shares side by side over the full width."""
    right = WIDTH * decisions.accepted_right
    wrong = WIDTH * decisions.accepted_wrong
    return svg.drawing(
        svg.rectangle((0, 0), right, HEIGHT, "accept-right"),
        svg.rectangle((right, 0), wrong, HEIGHT, "accept-wrong"),
        svg.rectangle((right + wrong, 0), WIDTH - right - wrong, HEIGHT, "reject"),
        key=key,
        width=WIDTH,
        height=HEIGHT,
        title=f"Outcomes, {title}",
        description=f"accepted and right {percent(decisions.accepted_right)}, accepted and wrong"
        f" {percent(decisions.accepted_wrong)}, rejected {percent(decisions.rejected)}",
    )


def _row(position: int, name: str, decisions: Decisions) -> tuple[str, ...]:
    of_accepted = decisions.accuracy_of_accepted
    return (
        name,
        percent(decisions.accepted_right),
        percent(decisions.accepted_wrong),
        percent(decisions.rejected),
        "none accepted" if of_accepted is None else percent(of_accepted),
        outcome_bar(decisions, key=f"outcome-{position}", title=name),
    )


def _legend() -> Markup:
    def sample(class_: str) -> Markup:
        square = svg.rectangle((0, 0), 14, 14, class_)
        return element("svg", square, viewBox="0 0 14 14", width=14, height=14, aria_hidden="true")

    entries = (element("li", sample(class_), words) for class_, words in KINDS.items())
    return element("ul", *entries, class_="legend")


Pixels = NDArray[np.float32]

MOST_BYTES = 240_000
"""Of pictures on a page, as text: a bundle carries the page and must stay small."""


def gallery_section(report: Report, evidence: EvaluationEvidence) -> Markup | None:
    """Return a grid of false accepts under the shown budget; None where none was attacked."""
    shown = shown_condition(report)
    if shown is None:
        return None
    cases = worst_first(evidence.worst_accepts, shown.epsilon_255)
    at = budget(shown.epsilon_255)
    if not cases:
        return section(
            "The worst false accepts", paragraph(f"Attacked at {at}, no outlier was accepted.")
        )
    return section(
        f"The worst false accepts, attacked at {at}",
        paragraph(
            "Outliers that the attack had accepted, the most confidently accepted of each set"
            " first: as they came, attacked, and what was added, amplified"
            f" {127.5 / shown.epsilon_255:.4g} times around grey."
        ),
        grid(cases),
    )


def worst_first(cases: tuple[FalseAccept, ...], epsilon_255: float) -> list[FalseAccept]:
    """Return this budget's cases: the worst of every set, then the second worst, and so on."""
    of_set: dict[str, list[FalseAccept]] = {}
    for case in sorted(cases, key=lambda case: case.score):
        if case.epsilon_255 == epsilon_255:
            of_set.setdefault(case.set_name, []).append(case)
    rounds = zip_longest(*(of_set[name] for name in sorted(of_set)))
    return [case for case in chain.from_iterable(rounds) if case]


def grid(cases: list[FalseAccept]) -> Markup:
    """Return as many of the first cases as `MOST_BYTES` allow."""
    figures: list[Markup] = []
    room = MOST_BYTES
    for case in cases:
        figure = _figure(case)
        room -= len(figure)
        if room < 0:
            break
        figures.append(figure)
    return element("div", *figures, class_="gallery")


def amplified(case: FalseAccept) -> Pixels:
    """Return the perturbation so that 0 is middle grey, -epsilon black and +epsilon white."""
    added = case.attacked - _unit(case.clean)
    shown = 0.5 + added * (255 / (2 * case.epsilon_255))
    return shown.clip(0, 1).astype(np.float32)


def png_uri(pixels: Pixels) -> str:
    """Return an image `(H, W, 3)` in [0, 1] as the data URI of a PNG."""
    file = io.BytesIO()
    Image.fromarray(np.rint(pixels * 255).astype(np.uint8)).save(file, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()


def _figure(case: FalseAccept) -> Markup:
    return element(
        "figure",
        _picture(_unit(case.clean), "clean", case),
        _picture(case.attacked, "attacked", case),
        _picture(amplified(case), "added", case),
        element(
            "figcaption",
            element("strong", case.set_name),
            " accepted as ",
            element("strong", case.predicted_class),
            f"; score {case.clean_score:.2f} clean, {case.score:.2f} attacked",
        ),
    )


def _picture(pixels: Pixels, what: str, case: FalseAccept) -> Markup:
    image = element(
        "img",
        src=png_uri(pixels),
        alt=f"an image of {case.set_name}, {what}",
        width=pixels.shape[1],
        height=pixels.shape[0],
    )
    return element("span", image, element("small", what), class_="picture")


def _unit(pixels: NDArray[np.uint8]) -> Pixels:
    return pixels.astype(np.float32) / np.float32(255)


SIDES: Mapping[Side, str] = {
    "in_attacked": "in-distribution attacked",
    "out_attacked": "outliers attacked",
    "both_attacked": "both attacked",
}

MEAN = element("strong", "mean")


def rankings_section(report: Report) -> Markup:
    """Return AUROC with intervals, missed OOD, the sides apart, and the other measures."""
    conditions = report.conditions
    budgets = [budget(condition.epsilon_255) for condition in conditions]
    return section(
        "Telling apart",
        paragraph(
            "AUROC is the chance that an out-of-distribution image scores above an in-distribution"
            " one: 1 is perfect, .5 is chance, 0 means that the attacker turned the ranking round."
        ),
        table("AUROC, both sides attacked", ("set", *budgets), _auroc_rows(conditions)),
        table(
            "Missed OOD: out-of-distribution images accepted at the served threshold",
            ("set", *budgets),
            _missed_rows(conditions),
        ),
        *_sides(conditions[1:]),
        *_beside(report, budgets),
        *_replayed(report, budgets),
        element(
            "details",
            element("summary", "Other measures"),
            *(_measures(condition) for condition in conditions),
        ),
    )


def with_interval(auroc: float, interval: Interval) -> Markup:
    """Write an AUROC above its interval."""
    return joined(f"{auroc:.3f}", element("small", f"[{interval.low:.3f}, {interval.high:.3f}]"))


def _auroc_rows(conditions: Sequence[Condition]) -> list[tuple[str, ...]]:
    def cell(ranking: Ranking) -> Markup:
        return with_interval(ranking.auroc, ranking.auroc_interval)

    rows: list[tuple[str, ...]] = [
        (name, *(cell(c.sets[name].rankings[c.side]) for c in conditions))
        for name in conditions[0].sets
    ]
    means = (c.mean[c.side] for c in conditions)
    return [*rows, (MEAN, *(with_interval(m.auroc, m.auroc_interval) for m in means))]


def _missed_rows(conditions: Sequence[Condition]) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = [
        (name, *(percent(c.sets[name].missed_ood_rate) for c in conditions))
        for name in conditions[0].sets
    ]
    return [*rows, (MEAN, *(percent(c.mean_missed_ood_rate) for c in conditions))]


def _sides(attacked: Sequence[Condition]) -> list[Markup]:
    if not attacked:
        return []
    rows = [
        (words, *(with_interval(c.mean[s].auroc, c.mean[s].auroc_interval) for c in attacked))
        for s, words in SIDES.items()
    ]
    budgets = [budget(condition.epsilon_255) for condition in attacked]
    return [table("Mean AUROC by the side that is attacked", ("attacked", *budgets), rows)]


def _beside(report: Report, budgets: Sequence[str]) -> list[Markup]:
    if len(report.results) == 1:
        return []
    rows = [
        (result.score, *(f"{condition.mean_auroc:.3f}" for condition in result.conditions))
        for result in report.results
    ]
    caption = "Mean AUROC by score, both sides attacked; the first decides"
    return [table(caption, ("score", *budgets), rows)]


def _replayed(report: Report, budgets: Sequence[str]) -> list[Markup]:
    pairs = [(c, c.replayed) for c in report.conditions]
    if report.replayed_by is None or not any(replayed for _, replayed in pairs):
        return []
    rows = [
        ("in torch", *(f"{condition.mean_auroc:.3f}" for condition, _ in pairs)),
        (
            f"by {report.replayed_by}",
            *(f"{replayed.mean_auroc:.3f}" if replayed else "" for _, replayed in pairs),
        ),
    ]
    return [table("Mean AUROC, the same images judged twice", ("judged", *budgets), rows)]


def _measures(condition: Condition) -> Markup:
    rows = [
        (
            name,
            f"{ranking.aupr_in:.3f}",
            f"{ranking.aupr_out:.3f}",
            percent(ranking.detection_error),
            percent(ranking.id_rejected_at_95_ood_recall),
            percent(ranking.ood_accepted_at_95_id_acceptance),
        )
        for name, ranking in (
            (name, result.rankings[condition.side]) for name, result in condition.sets.items()
        )
    ]
    columns = (
        "set",
        "AUPR in",
        "AUPR out",
        "detection error",
        "ID rejected at 95 % OOD recall",
        "OOD accepted at 95 % ID acceptance",
    )
    return table(f"Other measures, {budget(condition.epsilon_255)}", columns, rows)


MEANING: Mapping[str, tuple[str, str, str]] = {
    "trusted": (
        "good",
        "Trusted",
        "Every check of the attack passed: nothing was found that would make these figures look"
        " better than they are.",
    ),
    "partly checked": (
        "partial",
        "Partly checked",
        "No check of the attack failed, and some were not made: a longer suite makes all of them.",
    ),
    "not checked": (
        "partial",
        "Not checked",
        "This suite does not check its own attack, so the attacked figures may look better than"
        " they are. Measure with another suite before you rely on them.",
    ),
    "untrusted": (
        "bad",
        "UNTRUSTED",
        "The attack did not work as an attack must, so the attacked figures below may show"
        " robustness that is not there. Do not rely on them, and do not publish them.",
    ),
}
"""Of each stamp: its looks, its name, and what it says."""


def stamp(trust: Trust) -> Markup:
    """Return the banner that the page begins with."""
    looks, name, meaning = MEANING[trust.stamp]
    failed = [check for check in trust.checks if check.outcome == "failed"]
    return section(
        name,
        paragraph(meaning),
        *([element("ul", *(_failure(check) for check in failed))] if failed else []),
        class_=f"stamp {looks}",
    )


def checks_section(trust: Trust) -> Markup:
    """Return what was checked, in full."""
    rows = [
        (check.name, check.outcome, _figure_stamp(check), element("span", check.expected))
        for check in trust.checks
    ]
    return section(
        "How the attack was checked",
        paragraph(
            "A broken attack makes any model look robust. Each check below would notice one way"
            " of breaking."
        ),
        table("Checks of the attack", ("check", "outcome", "found", "wanted"), rows),
    )


def _failure(check: Check) -> Markup:
    found = f" found {_figure_stamp(check)}," if check.figure is not None else ""
    return element("li", element("strong", check.name), f":{found} wanted {check.expected}")


def _figure_stamp(check: Check) -> str:
    return "" if check.figure is None else f"{check.figure:.4g}"


def protocol_section(report: Report) -> Markup:
    """Return what a reader must know to doubt the figures properly."""
    return section(
        "What was measured, and how",
        element("ul", *(element("li", line) for line in lines(report))),
    )


def lines(report: Report) -> list[Markup | str]:
    """Return the protocol, one sentence or two a line."""
    suite = report.suite
    first = report.conditions[0]
    confidence = f", with {percent(1 - report.delta)} confidence" if report.delta else ""
    budgets = ", ".join(budget(epsilon) for epsilon in suite.budgets_255)
    said: list[Markup | str] = [
        f"In-distribution images: {first.inliers.images:,} of {report.test_set}."
        " Out-of-distribution images: "
        + ", ".join(f"{result.images:,} of {name}" for name, result in first.sets.items())
        + ".",
        f"Images are rejected when their {report.score} score is above {report.threshold:.6g}."
        f" That threshold lets at most {percent(report.alpha)} of images drawn like the"
        f" {report.calibration_images:,} calibration images be rejected{confidence}.",
    ]
    if budgets:
        said += [
            "Attacked means: every pixel may change by at most the budget, with full knowledge of"
            " the network. In-distribution images are pushed towards rejection, outliers towards"
            f" acceptance. Budgets: {budgets} of the pixel range.",
            f"The attack is {_ascent(suite.ascent)}.",
        ]
    if suite.ascent.end_to_end and budgets:
        said.append(
            "End to end: an in-distribution image is pushed to a wrong class that is accepted,"
            f" in {suite.ascent.end_to_end} steps."
        )
    if report.replayed_by:
        said.append(
            f"The attacked images, in whole 255ths, were judged again by {report.replayed_by}."
        )
    said.append(
        "Brackets hold 95 % bootstrap intervals over the images: they say what other images of the"
        " same kind would change, not what a stronger attack would."
    )
    return said


def _ascent(ascent: Ascent) -> str:
    restarts = f"{ascent.restarts} start" + ("s" if ascent.restarts > 1 else "")
    if ascent.kind == "pgd":
        size = f" of {ascent.step_255:g}/255" if ascent.step_255 else ""
        return (
            f"PGD on the score itself: {ascent.steps} steps{size}, {restarts}, the last iterate"
            " counts"
        )
    targeted = (
        f"; {ascent.targeted} images of each set are also attacked once for every class"
        if ascent.targeted
        else ""
    )
    return (
        f"APGD on the score itself: {ascent.steps} steps, {restarts}, the best iterate of all"
        f" counts{targeted}"
    )


def key_figures(report: Report) -> Markup:
    """Return them as large numbers, each with what it is."""
    clean, attacked = report.conditions[0], shown_condition(report)
    figures = [
        (percent(report.accuracy), "accuracy, clean"),
        (f"{clean.mean_auroc:.3f}", "mean AUROC, clean"),
        (
            percent(clean.false_rejection_rate),
            f"false rejections, clean; {_promise_key_figures(report)}",
        ),
        (percent(clean.mean_missed_ood_rate), "OOD missed, clean"),
    ]
    if attacked:
        at = budget(attacked.epsilon_255)
        if report.trust.stamp == "untrusted":
            at += ", untrusted"
        figures += [
            (f"{attacked.mean_auroc:.3f}", f"mean AUROC, attacked at {at}"),
            (percent(attacked.mean_missed_ood_rate), f"OOD missed, attacked at {at}"),
        ]
    return element(
        "ul",
        *(element("li", element("strong", f), element("span", what)) for f, what in figures),
        class_="figures",
    )


def _promise_key_figures(report: Report) -> str:
    return f"promised: at most {percent(report.alpha)}"


STYLE = Path(__file__).with_name("style.css")

POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
"""What a browser may load for this page: its own style and its own pictures."""


def write_html(report: Report, evidence: EvaluationEvidence) -> str:
    """Return the page."""
    title = f"{report.name}: OOD Guard report"
    attacked = len(report.conditions) > 1
    sections = (
        stamp(report.trust),
        key_figures(report),
        advice_section(report, evidence),
        protocol_section(report),
        rankings_section(report),
        decisions_section(report),
        security_section(report) if attacked else None,
        roc_section(report, evidence),
        histogram_section(report, evidence),
        gallery_section(report, evidence),
        checks_section(report.trust) if report.trust.checks else None,
    )
    body = element(
        "body",
        element("main", _header(report), *(each for each in sections if each), _footer(report)),
    )
    page = element("html", _head(title), body, lang="en")
    return f"<!DOCTYPE html>\n{page}\n"


def _head(title: str) -> Markup:
    return element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=POLICY),
        element("meta", name_="viewport", content="width=device-width, initial-scale=1"),
        element("title", title),
        # A style sheet is not escaped text: this one is ours and holds no "<".
        element("style", Markup(STYLE.read_text(encoding="utf-8"))),
    )


def _header(report: Report) -> Markup:
    what = "a training run" if report.measured == "run" else f"the bundle {report.measured[:12]}"
    return element(
        "header",
        element("h1", report.name),
        element("p", f"OOD Guard report on {what}, suite {report.suite.name}"),
    )


def _footer(report: Report) -> Markup:
    return element(
        "footer",
        joined(
            "Made with ",
            element("code", report.command),
            f" in {report.duration_s / 60:.1f} minutes on {report.hardware}.",
        ),
    )
