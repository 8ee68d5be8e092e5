"""Print the README's table of the shipped bundles, from their evaluation reports.

    python -m benchmarks.shipped

Each bundle contains the report of the `standard` suite. The report of the `paper` suite, which is
the protocol of the ALOE paper's own code, is in docs/reports; INT8 bundles have none.
"""

from collections.abc import Iterator
from pathlib import Path

from oodguard.models.bundle import open_bundle
from oodguard.training.report.markdown import percent, share
from oodguard.training.report.model import Report

ROOT = Path(__file__).parents[1]
PRETRAINED = ROOT / "models" / "pretrained"
REPORTS = ROOT / "docs" / "reports"
NAMES = (
    "cifar10-standard",
    "cifar10-oe",
    "cifar10-aloe",
    "cifar10-aloe-distilled",
    "cifar10-aloe-int8",
    "cifar10-aloe-8",
    "cifar100-standard",
    "cifar100-oe",
    "cifar100-aloe",
    "cifar100-aloe-2",
    "gtsrb-standard",
    "gtsrb-aloe",
)
BUDGETS_255 = (0.0, 1.0, 2.0, 4.0, 8.0)


def standard_report(name: str) -> Report:
    """Return the report in the bundle."""
    return Report.model_validate(dict(open_bundle(PRETRAINED / name).evaluation))


def paper_report(name: str) -> Report | None:
    """Return the bundle's report of the `paper` suite, or None for an INT8 bundle."""
    if name.endswith("-int8"):
        return None
    path = REPORTS / name / "evaluation-paper.json"
    return Report.model_validate_json(path.read_bytes())


def shipped_table() -> str:
    """Return a Markdown table with one row per shipped bundle and suite."""
    head = ["bundle", "accuracy", "score", "suite", "clean", "1/255", "2/255", "4/255", "8/255"]
    rows = [head, ["---"] * len(head), *(row for name in NAMES for row in _rows(name))]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _rows(name: str) -> Iterator[list[str]]:
    for report in filter(None, (standard_report(name), paper_report(name))):
        aurocs = {condition.epsilon_255: condition.mean_auroc for condition in report.conditions}
        yield [
            f"`{name}`",
            percent(report.accuracy),
            f"`{report.score}`",
            report.suite.name,
            *(share(aurocs[budget]) for budget in BUDGETS_255),
        ]


if __name__ == "__main__":
    print(shipped_table())
