from dataclasses import replace

import pytest

from oodguard.training.report.model import Check, EvaluationEvidence, Report, Trust
from oodguard.training.report.page import write_html
from tests.training.html.hostile import HOSTILE
from tests.training.html.parsing import Node, parse

FETCHING = ("src", "href", "action", "data", "poster", "srcset", "xlink:href", "background")
BARRED = ("script", "link", "iframe", "object", "embed", "base", "form")


def _untrusted(report: Report) -> Report:
    checks = (
        Check(name="reaches zero", outcome="failed", figure=0.41, expected="below 0.02"),
        Check(name="beats noise", outcome="passed", figure=0.1, expected="at most 50 %"),
        Check(name="has converged", outcome="not checked", figure=None, expected="at most 0.01"),
    )
    return report.model_copy(update={"trust": Trust(stamp="untrusted", checks=checks)})


def test_the_page_is_one_well_formed_document(report: Report, evidence: EvaluationEvidence) -> None:
    page = write_html(report, evidence)
    assert page.startswith("<!DOCTYPE html>\n")
    root = parse(page)
    assert root.every("html")[0].attributes["lang"] == "en"
    assert root.every("title")[0].text == "tiny: OOD Guard report"
    headings = [heading.text for heading in root.every("h2")]
    assert headings == [
        "Trusted",
        "What to do with this",
        "What was measured, and how",
        "Telling apart",
        "What a user of the classifier gets",
        "How it falls with the attack budget",
        "ROC curves",
        "Scores, clean against attacked",
        "The worst false accepts, attacked at 2/255",
        "How the attack was checked",
    ]
    names = [node.attributes["id"] for node in _all(root) if "id" in node.attributes]
    assert len(names) == len(set(names))


def test_the_page_fetches_nothing_and_runs_nothing(
    report: Report, evidence: EvaluationEvidence
) -> None:
    root = parse(write_html(report, evidence))
    for node in _all(root):
        assert node.name not in BARRED
        assert not [key for key in node.attributes if key.startswith("on")]
        fetched = [value for key, value in node.attributes.items() if key in FETCHING]
        assert all(value.startswith("data:image/png;base64,") for value in fetched)
        assert not any("//" in value for value in node.attributes.values() if value not in fetched)
    (style,) = root.every("style")
    assert "url(" not in style.text
    assert "@import" not in style.text
    (policy,) = [node for node in root.every("meta") if "http-equiv" in node.attributes]
    assert policy.attributes["content"] == (
        "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
    )


def test_every_picture_and_every_drawing_has_words_for_who_cannot_see_it(
    report: Report, evidence: EvaluationEvidence
) -> None:
    root = parse(write_html(report, evidence))
    assert all(picture.attributes["alt"] for picture in root.every("img"))
    shown = [each for each in root.every("svg") if each.attributes.get("aria-hidden") != "true"]
    assert len(shown) == 3 + 3 + 2 + 3  # bars, curves with the mean, ROC, histograms
    for drawing in shown:
        title, description = drawing.every("title")[0], drawing.every("desc")[0]
        assert title.text
        assert description.text
        assert drawing.attributes["aria-labelledby"] == (
            f"{title.attributes['id']} {description.attributes['id']}"
        )
    for table in root.every("table"):
        assert table.every("caption")[0].text
        assert all(cell.attributes["scope"] in {"col", "row"} for cell in table.every("th"))


def test_hostile_names_are_text(report: Report, evidence: EvaluationEvidence) -> None:
    trust = Trust(
        stamp="untrusted",
        checks=(Check(name=HOSTILE, outcome="failed", figure=1.0, expected=HOSTILE),),
    )
    hostile = report.model_copy(
        update={
            "name": HOSTILE,
            "test_set": HOSTILE,
            "hardware": HOSTILE,
            "command": HOSTILE,
            "replayed_by": HOSTILE,
            "trust": trust,
        }
    )
    page = write_html(hostile, evidence)
    assert "<script" not in page
    root = parse(page)
    assert root.every("h1")[0].text == HOSTILE
    assert HOSTILE in root.every("footer")[0].text


def test_an_untrusted_report_says_so_first_and_names_the_failed_checks(
    report: Report, evidence: EvaluationEvidence
) -> None:
    root = parse(write_html(_untrusted(report), evidence))
    first = root.every("section")[0]
    assert first.attributes["class"] == "stamp bad"
    assert first.every("h2")[0].text == "UNTRUSTED"
    (failed,) = first.every("li")
    assert failed.text == "reaches zero: found 0.41, wanted below 0.02"
    figures = [item.text for item in root.every("ul", "figures")[0].every("li")]
    assert [("untrusted" in text) for text in figures] == [("attacked" in t) for t in figures]
    assert "Mend the attack first." in root.every("ul", "advice")[0].text


def test_a_trusted_report_does_not_call_anything_untrusted(
    report: Report, evidence: EvaluationEvidence
) -> None:
    assert "untrusted" not in parse(write_html(report, evidence)).every("body")[0].text.lower()


@pytest.mark.parametrize("stamp", ["partly checked", "not checked"])
def test_a_report_whose_attack_was_not_wholly_checked_is_not_called_trusted(
    report: Report, evidence: EvaluationEvidence, stamp: str
) -> None:
    trust = report.trust.model_copy(update={"stamp": stamp})
    root = parse(write_html(report.model_copy(update={"trust": trust}), evidence))
    first = root.every("section")[0]
    assert first.attributes["class"] == "stamp partial"
    assert first.every("h2")[0].text.lower() == stamp


def test_clean_figures_alone_make_a_page_too(report: Report, evidence: EvaluationEvidence) -> None:
    (result,) = report.results
    clean = report.model_copy(
        update={
            "results": (result.model_copy(update={"conditions": result.conditions[:1]}),),
            "suite": report.suite.model_copy(update={"budgets_255": ()}),
            "trust": Trust(stamp="not checked", checks=()),
        }
    )
    page = write_html(
        clean, replace(evidence, conditions=evidence.conditions[:1], worst_accepts=())
    )
    headings = [heading.text for heading in parse(page).every("h2")]
    assert "ROC curves" in headings
    assert "How it falls with the attack budget" not in headings
    assert "No attack was tried" in page


def test_the_table_holds_the_figures_of_the_report(
    report: Report, evidence: EvaluationEvidence
) -> None:
    tables = parse(write_html(report, evidence)).every("table")
    by_caption = {table.every("caption")[0].text: table for table in tables}
    auroc = by_caption["AUROC, both sides attacked"]
    rows = auroc.every("tbody")[0].every("tr")
    assert [[cell.content[0] for cell in row.children[1:]] for row in rows] == [
        ["0.750", "0.250"],
        ["1.000", "0.500"],
        ["0.875", "0.375"],
    ]
    intervals = [small.text for small in auroc.every("small")]
    assert intervals[:2] == ["[0.700, 0.800]", "[0.200, 0.300]"]


def _all(node: Node) -> list[Node]:
    return [each for child in node.children for each in (child, *_all(child))]
