"""A report as a Markdown table."""

from training.first_report import Condition, Report


def percent(share: float) -> str:
    """Write a share as a percentage of at most one decimal."""
    return f"{100 * share:.1f}".removesuffix(".0") + " %"


def table(report: Report) -> str:
    """Return one column for every attack budget and one row for every set, with their means."""
    conditions = report.conditions
    rows = [
        ["set", *(_budget(condition) for condition in conditions)],
        ["---", *("---" for _ in conditions)],
        *([name, *(_cell(c, name) for c in conditions)] for name in conditions[0].sets),
        ["**mean**", *(_mean(condition) for condition in conditions)],
        ["false rejections", *(percent(c.false_rejection_rate) for c in conditions)],
    ]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _budget(condition: Condition) -> str:
    return f"{condition.epsilon_255:g}/255" if condition.epsilon_255 else "clean"


def _cell(condition: Condition, name: str) -> str:
    result = condition.sets[name]
    return f"{_share(result.auroc)} / {percent(result.missed_ood_rate)}"


def _mean(condition: Condition) -> str:
    return f"**{_share(condition.mean_auroc)}** / {percent(condition.mean_missed_ood_rate)}"


def _share(value: float) -> str:
    return f"{value:.3f}".removeprefix("0")
