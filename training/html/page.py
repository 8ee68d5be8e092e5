"""The report as one HTML file that fetches nothing and runs nothing."""

from pathlib import Path

from training.evidence import Evidence
from training.html.advice import advice_section
from training.html.decisions import decisions_section
from training.html.gallery import gallery_section
from training.html.histogram import histogram_section
from training.html.key_figures import key_figures
from training.html.markup import Markup, element, joined
from training.html.protocol import protocol_section
from training.html.rankings import rankings_section
from training.html.roc import roc_section
from training.html.security import security_section
from training.html.stamp import checks_section, stamp
from training.report import Report

STYLE = Path(__file__).with_name("style.css")
POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
"""What a browser may load for this page: its own style and its own pictures."""


def write_html(report: Report, evidence: Evidence) -> str:
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
