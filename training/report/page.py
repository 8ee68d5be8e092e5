"""Render the report as one HTML file that loads nothing and runs nothing."""

from collections.abc import Sequence
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from oodguard.models.counts import count_of
from oodguard.training.report import card, markdown
from oodguard.training.report.advice import advice
from oodguard.training.report.charts import level, roc_charts, security_charts
from oodguard.training.report.classes import confusions, weakest_classes
from oodguard.training.report.evidence import EvaluationEvidence
from oodguard.training.report.gallery import gallery
from oodguard.training.report.histograms import histogram_charts
from oodguard.training.report.left_out import left_out_lines
from oodguard.training.report.model import Report
from oodguard.training.report.remedies import remedies

TEMPLATES = Path(__file__).with_name("templates")

CONTENT_SECURITY_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
"""The page may use its own styles and its own images, and nothing else."""


def write_html(
    report: Report, evidence: EvaluationEvidence, *, warnings: Sequence[str] = ()
) -> str:
    """Return the page; it shows the warnings below its stamp."""
    highlighted = report.highlighted
    return (
        template_environment()
        .get_template("page.html.j2")
        .render(
            advice=advice(report, evidence),
            attacked=report.conditions[1:],
            classes=weakest_classes(report),
            clean=report.conditions[0],
            conditions=report.conditions,
            gallery=gallery(evidence.worst_accepts, highlighted.epsilon_255) if highlighted else [],
            highlighted=highlighted,
            left_out=left_out_lines(report),
            histogram_charts=histogram_charts(report, evidence),
            quick_notice=card.quick_notice(report),
            remedies=remedies(report),
            report=report,
            roc_charts=roc_charts(report, evidence),
            security_charts=security_charts(report) if report.conditions[1:] else [],
            warnings=warnings,
        )
    )


def template_environment() -> Environment:
    """Return the environment of the page templates, with their filters."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.globals["content_security_policy"] = CONTENT_SECURITY_POLICY
    environment.filters |= {
        "auroc": "{:.3f}".format,
        "budget": markdown.budget,
        "confusions": confusions,
        "count_of": count_of,
        "level": level,
        "percent": percent,
    }
    return environment


def percent(fraction: float) -> str:
    """Write a fraction as `markdown.percent` does, without a line break before the percent sign."""
    return markdown.percent(fraction).replace(" ", "\N{NO-BREAK SPACE}")
