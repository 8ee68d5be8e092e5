"""The page with the training curves of a run, from its `metrics.csv`."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from oodguard.training.report.charts import DASHES, Chart, colour_of, new_axes
from oodguard.training.report.page import template_environment
from oodguard.training.report.svg import inline_svg

METRICS = Path("logs") / "csv" / "metrics.csv"
PAGE = "training.html"

Curves = Mapping[str, Sequence[float | None]]
"""The values of each epoch by column; None where the epoch has none."""

CHARTS: Mapping[str, Mapping[str, str]] = {
    "loss": {"loss": "training loss"},
    "accuracy": {
        "training_accuracy": "training, as attacked",
        "accuracy": "validation, clean",
        "attacked_accuracy": "validation, attacked",
    },
    "AUROC, both sides attacked": {"attacked_auroc": "validation"},
    "learning rate": {"learning_rate": "at the end of the epoch"},
    "seconds per epoch": {"duration_s": "all", "validation_s": "robust validation"},
}
"""The curves of each chart: columns of metrics.csv and their names."""

SHARES = {"accuracy", "AUROC, both sides attacked"}


def write_training_page(run: Path, folder: Path, *, name: str, notes: Sequence[str]) -> Path | None:
    """Write `training.html` with the curves of a run into a folder; return its path.

    `notes` are shown above the curves, such as rollbacks. Without `metrics.csv` nothing is written.
    """
    path = run / METRICS
    if not path.is_file():
        return None
    curves = read_curves(path)
    charts = [
        _chart(title, columns, curves)
        for title, columns in CHARTS.items()
        if any(any(v is not None for v in curves.get(column, ())) for column in columns)
    ]
    text = (
        template_environment()
        .get_template("training.html.j2")
        .render(charts=charts, epochs=len(curves.get("step", ())), name=name, notes=notes)
    )
    page = folder / PAGE
    page.write_text(text, encoding="utf-8")
    return page


def read_curves(path: Path) -> dict[str, list[float | None]]:
    """Return the columns of a `metrics.csv`."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    names = rows[0] if rows else ()
    return {name: [float(row[name]) if row[name] else None for row in rows] for name in names}


def _chart(title: str, columns: Mapping[str, str], curves: Curves) -> Chart:
    shown = {column: words for column, words in columns.items() if column in curves}
    last = [
        f"{words} {values[-1]:.4g}"
        for column, words in shown.items()
        if (values := [v for v in curves[column] if v is not None])
    ]
    svg = inline_svg(
        curves_figure(title, list(shown), curves),
        key=f"training-{list(CHARTS).index(title)}",
        title=f"{title} by epoch",
        description=f"In the last epoch: {', '.join(last)}.",
    )
    return Chart(caption=f"{title}: {', '.join(last)}", svg=svg)


def curves_figure(title: str, columns: Sequence[str], curves: Curves) -> Figure:
    """Draw columns of a `metrics.csv` over the number of the epoch."""
    epochs = np.array(curves["step"], dtype=float)
    series = [np.array(curves[column], dtype=float) for column in columns]
    highest = max(np.nanmax(values) for values in series)
    top = 1.0 if title in SHARES else float(highest) * 1.05 or 1.0
    right = max(float(epochs[-1]), 1.0)
    figure, axes = new_axes("epoch", title, (min(1.0, right - 1), right), (0, top))
    for position, values in enumerate(series):
        axes.plot(
            epochs,
            values,
            color=colour_of(position),
            linestyle=DASHES[position],
            linewidth=2,
            marker="o" if len(epochs) == 1 else "",
            clip_on=False,
        )
    return figure
