"""A report as a Markdown table."""

from collections.abc import Sequence

from training.report import Condition, Report


def percent(share: float) -> str:
    """Write a share as a percentage of at most one decimal."""
    return f"{100 * share:.1f}".removesuffix(".0") + " %"


def share(value: float) -> str:
    """Write a share as a decimal fraction of three places."""
    return f"{value:.3f}".removeprefix("0")


def table(report: Report) -> str:
    """Return one column for every attack budget and one row for every set, with their means."""
    conditions = report.conditions
    rows = [
        ["set", *(_budget(condition) for condition in conditions)],
        ["---", *("---" for _ in conditions)],
        *([name, *(_cell(c, name) for c in conditions)] for name in conditions[0].sets),
        ["**mean**", *(_mean(condition) for condition in conditions)],
        ["false rejections", *(percent(c.false_rejection_rate) for c in conditions)],
        *_end_to_end(conditions),
    ]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _budget(condition: Condition) -> str:
    return f"{condition.epsilon_255:g}/255" if condition.epsilon_255 else "clean"


def _end_to_end(conditions: Sequence[Condition]) -> list[list[str]]:
    """Return the row of images pushed to a wrong class that is accepted, if that was tried."""
    found = [c.inliers.end_to_end for c in conditions]
    if not any(found):
        return []
    clean = conditions[0].inliers.decisions
    shares = (decisions or clean for decisions in found)
    return [["wrong and accepted", *(percent(each.accepted_wrong) for each in shares)]]


def _cell(condition: Condition, name: str) -> str:
    missed = condition.sets[name].missed_ood_rate
    return f"{share(condition.auroc(name))} / {percent(missed)}"


def _mean(condition: Condition) -> str:
    return f"**{share(condition.mean_auroc)}** / {percent(condition.mean_missed_ood_rate)}"
