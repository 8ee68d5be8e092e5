"""Render the report as one HTML file that loads nothing and runs nothing."""

from collections.abc import Sequence
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from oodguard.training.report import card
from oodguard.training.report.advice import advice
from oodguard.training.report.charts import level, roc_charts, security_charts
from oodguard.training.report.evidence import EvaluationEvidence
from oodguard.training.report.gallery import gallery
from oodguard.training.report.histograms import histogram_charts
from oodguard.training.report.model import Report

TEMPLATES = Path(__file__).with_name("templates")

CONTENT_SECURITY_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
"""The page may use its own styles and its own images, and nothing else."""


def write_html(
    report: Report, evidence: EvaluationEvidence, *, warnings: Sequence[str] = ()
) -> str:
    """Return the page; it shows the warnings below its stamp."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {
        "auroc": "{:.3f}".format,
        "budget": card.budget,
        "level": level,
        "percent": percent,
    }
    highlighted = report.highlighted
    return environment.get_template("page.html.j2").render(
        advice=advice(report, evidence),
        attacked=report.conditions[1:],
        clean=report.conditions[0],
        conditions=report.conditions,
        content_security_policy=CONTENT_SECURITY_POLICY,
        gallery=gallery(evidence.worst_accepts, highlighted.epsilon_255) if highlighted else [],
        highlighted=highlighted,
        histogram_charts=histogram_charts(report, evidence),
        report=report,
        roc_charts=roc_charts(report, evidence),
        security_charts=security_charts(report) if report.conditions[1:] else [],
        warnings=warnings,
    )


def percent(fraction: float) -> str:
    """Write a fraction as `card.percent` does, without a line break before the percent sign."""
    return card.percent(fraction).replace(" ", "\N{NO-BREAK SPACE}")
