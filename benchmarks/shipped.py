"""Print the README's table of the shipped bundles, from their evaluation reports.

    python -m benchmarks.shipped            # robustness: the table of the README
    python -m benchmarks.shipped choice     # errors, size and cost: that of docs/robustness.md

Each bundle contains the report of the `standard` suite. The report of the `paper` suite, which is
the protocol of the ALOE paper's own code, is in docs/reports; INT8 bundles have none. The cost is
CPU time for one image in one thread of ONNX Runtime, the median of interleaved rounds, relative to
that of `cifar10-aloe`.
"""

import statistics
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from oodguard.models.bundle import open_bundle
from oodguard.training.report.markdown import markdown_table, percent, share
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
UNIT = "cifar10-aloe"
ROUNDS = 15
IMAGES = 100


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
    return markdown_table([head, *(row for name in NAMES for row in _rows(name))])


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


def choice_table() -> str:
    """Return a Markdown table with one row per shipped bundle: its errors on clean images, size."""
    costs = relative_costs()
    head = ["bundle", "hardened at", "accuracy", "rejected", "missed", "graph", "cost"]
    rows = [head]
    for name in NAMES:
        bundle, report = open_bundle(PRETRAINED / name), standard_report(name)
        epsilon, clean = bundle.manifest.training.epsilon, report.conditions[0]
        missed = statistics.mean(each.missed_ood_rate for each in clean.sets.values())
        rows.append(
            [
                f"`{name}`",
                f"{255 * epsilon:g}/255" if epsilon else "",
                percent(report.accuracy),
                percent(clean.false_rejection_rate),
                percent(missed),
                f"{len(bundle.model) / 1e6:.1f} MB",
                f"{costs[name]:.2f}",
            ]
        )
    return markdown_table(rows)


def relative_costs() -> Mapping[str, float]:
    """Return the CPU time of each bundle for one image, relative to that of `UNIT`."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    sessions = {
        name: onnxruntime.InferenceSession(
            open_bundle(PRETRAINED / name).model, options, providers=["CPUExecutionProvider"]
        )
        for name in NAMES
    }
    spec = open_bundle(PRETRAINED / UNIT).manifest.input
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (IMAGES, 1, spec.height, spec.width, 3), dtype=np.uint8)
    rounds = [
        {name: _cpu_time(session, images) for name, session in sessions.items()}
        for _ in range(ROUNDS)
    ]
    return {
        name: statistics.median(each[name] / each[UNIT] for each in rounds[1:]) for name in NAMES
    }


def _cpu_time(session: onnxruntime.InferenceSession, images: NDArray[np.uint8]) -> float:
    started = time.process_time()
    for image in images:
        session.run(None, {"images": image})
    return time.process_time() - started


if __name__ == "__main__":
    print(choice_table() if sys.argv[1:] == ["choice"] else shipped_table())
