"""The table: AUROC and missed out-of-distribution images, for every set and budget."""

from collections.abc import Mapping, Sequence

from training.html.legend import budget
from training.html.markup import Markup, element, joined
from training.html.numerals import percent
from training.html.section import paragraph, section
from training.html.table import table
from training.report import Condition, Interval, Ranking, Report, Side

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
