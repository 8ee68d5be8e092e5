from dataclasses import replace

import pytest

from oodguard.training.report.class_results import PredictedClass
from oodguard.training.report.evidence import EvaluationEvidence
from oodguard.training.report.model import Check, Report, Trust, Twin
from oodguard.training.report.page import write_html
from tests.training.report.example import EVIDENCE, HOSTILE, REPORT
from tests.training.report.parsing import Node, parse
from tests.training.report.test_remedies import CLASSES, HARDENED

FETCHING = ("src", "href", "action", "data", "poster", "srcset", "xlink:href", "background")
FORBIDDEN = ("script", "link", "iframe", "object", "embed", "base", "form")


def _root(report: Report, evidence: EvaluationEvidence) -> Node:
    return parse(write_html(report, evidence))


@pytest.fixture
def root() -> Node:
    return _root(REPORT, EVIDENCE)


def _text(node: Node) -> str:
    return " ".join(node.text.replace("\N{NO-BREAK SPACE}", " ").split())


def _rows(root: Node, caption: str) -> list[list[str]]:
    (table,) = (t for t in root.every("table") if t.every("caption")[0].text == caption)
    rows = table.every("tbody")[0].every("tr")
    return [[_text(cell) for cell in row.children] for row in rows]


def _clean_only(report: Report) -> Report:
    (result,) = report.results
    return report.model_copy(
        update={
            "results": (result.model_copy(update={"conditions": result.conditions[:1]}),),
            "suite": report.suite.model_copy(update={"budgets_255": ()}),
            "trust": Trust(stamp="not checked", checks=()),
        }
    )


def test_page_is_one_well_formed_document() -> None:
    page = write_html(REPORT, EVIDENCE)
    assert page == write_html(REPORT, EVIDENCE)
    assert page.startswith("<!DOCTYPE html>\n")
    root = parse(page)
    assert root.every("html")[0].attributes["lang"] == "en"
    assert root.every("title")[0].text == "tiny: OOD Guard report"
    assert [heading.text for heading in root.every("h2")] == [
        "Trusted",
        "Recommendations",
        "Protocol",
        "Ranking",
        "Decisions",
        "Security curves",
        "ROC curves",
        "Score histograms",
        "Worst false accepts, attacked at 2/255",
        "Gradient-masking checks",
    ]
    names = [node.attributes["id"] for node in root.all() if "id" in node.attributes]
    assert len(names) == len(set(names))


@pytest.mark.parametrize(
    ("measured", "weights", "text"),
    [
        ("run", "ab" * 32, "on a training run (checkpoint: sha256 abababababab), suite"),
        ("cd" * 32, "ab" * 32, "on a bundle (model.onnx: sha256 abababababab), suite"),
        ("run", None, "on a training run, suite"),
        ("cd" * 32, None, "on a bundle, suite"),  # an older report
    ],
)
def test_page_identifies_what_was_measured_by_its_weights(
    measured: str, weights: str | None, text: str
) -> None:
    report = REPORT.model_copy(update={"measured": measured, "weights": weights})
    (header,) = _root(report, EVIDENCE).every("header")
    assert text in _text(header)
    assert "cdcd" not in header.text


def test_page_loads_nothing_and_runs_nothing(root: Node) -> None:
    for node in root.all():
        assert node.name not in FORBIDDEN
        assert not [key for key in node.attributes if key.startswith("on")]
        fetched = [value for key, value in node.attributes.items() if key in FETCHING]
        assert all(value.startswith(("data:image/png;base64,", "#")) for value in fetched)
        assert not any("//" in value for value in node.attributes.values() if value not in fetched)
    (style,) = root.every("style")
    assert "url(" not in style.text
    assert "@import" not in style.text
    (policy,) = [node for node in root.every("meta") if "http-equiv" in node.attributes]
    allowed = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
    assert policy.attributes["content"] == allowed


def test_page_describes_every_image_and_table(root: Node) -> None:
    assert all(image.attributes["alt"] for image in root.every("img"))
    shown = [each for each in root.every("svg") if each.attributes.get("aria-hidden") != "true"]
    assert len(shown) == 3 + 3 + 2 + 3  # outcomes, security curves with the mean, ROC, histograms
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


def test_page_escapes_hostile_names() -> None:
    trust = Trust(
        stamp="untrusted",
        checks=(Check(name=HOSTILE, outcome="failed", figure=1.0, expected=HOSTILE),),
    )
    update = dict.fromkeys(("name", "test_set", "hardware", "command", "replayed_by"), HOSTILE)
    page = write_html(REPORT.model_copy(update={**update, "trust": trust}), EVIDENCE)
    assert "<script" not in page
    root = parse(page)
    assert root.every("h1")[0].text == HOSTILE
    assert HOSTILE in root.every("footer")[0].text
    assert HOSTILE in root.every("figcaption")[-1].text  # the predicted class


def test_page_marks_an_untrusted_report_first() -> None:
    checks = (
        Check(name="reaches zero", outcome="failed", figure=0.41, expected="below 0.02"),
        Check(name="beats noise", outcome="passed", figure=0.1, expected="at most 50 %"),
        Check(name="has converged", outcome="not checked", figure=None, expected="at most 0.01"),
    )
    trust = Trust(stamp="untrusted", checks=checks)
    root = _root(REPORT.model_copy(update={"trust": trust}), EVIDENCE)
    first = root.every("section")[0]
    assert first.attributes["class"] == "stamp bad"
    assert first.every("h2")[0].text == "UNTRUSTED"
    (failed,) = first.every("li")
    assert failed.text == "reaches zero: measured 0.41, expected below 0.02"
    figures = [item.text for item in root.every("ul", "figures")[0].every("li")]
    assert [("untrusted" in text) for text in figures] == [("attacked" in t) for t in figures]
    assert "Repair the attack first." in root.every("ul", "advice")[0].text
    unchecked = ["has converged", "not checked", "", "at most 0.01"]
    assert _rows(root, "Checks of the attack")[2] == unchecked


def test_page_of_a_partly_checked_report_states_why_a_check_has_no_outcome() -> None:
    checks = (
        Check(name="beats noise", outcome="passed", figure=0.1, expected="at most 50 %"),
        Check(
            name="transfer", outcome="not checked", figure=None, expected="less", reason="no twin"
        ),
        Check(name="older", outcome="not checked", figure=None, expected="less"),
    )
    trust = Trust(stamp="partly checked", checks=checks)
    root = _root(REPORT.model_copy(update={"trust": trust}), EVIDENCE)
    first = root.every("section")[0]
    assert [each.text for each in first.every("li")] == ["transfer: no twin", "older"]
    assert "suite" not in first.text
    outcomes = [row[1] for row in _rows(root, "Checks of the attack")]
    assert outcomes == ["passed", "not checked: no twin", "not checked"]


def test_page_states_the_twin(root: Node) -> None:
    report = REPORT.model_copy(update={"twin": Twin(name="other", method="aloe")})
    (section,) = (
        each
        for each in _root(report, EVIDENCE).every("section")
        if "Gradient-masking checks" in each.text
    )
    assert "The attack on another model is that on other (method aloe)." in _text(section)
    assert "attack on another model" not in _text(root)


def test_page_of_a_trusted_report_has_no_untrusted_mark(root: Node) -> None:
    assert "untrusted" not in root.every("body")[0].text.lower()


@pytest.mark.parametrize("stamp", ["partly checked", "not checked"])
def test_page_marks_a_report_without_all_checks(stamp: str) -> None:
    trust = REPORT.trust.model_copy(update={"stamp": stamp})
    first = _root(REPORT.model_copy(update={"trust": trust}), EVIDENCE).every("section")[0]
    assert first.attributes["class"] == "stamp partial"
    assert first.every("h2")[0].text.lower() == stamp


def test_page_of_clean_figures_only() -> None:
    clean = replace(EVIDENCE, conditions=EVIDENCE.conditions[:1], worst_accepts=())
    root = _root(_clean_only(REPORT), clean)
    headings = [heading.text for heading in root.every("h2")]
    assert "ROC curves" in headings
    assert "Security curves" not in headings
    assert "No attack was run" in root.text


def test_page_states_the_recommendations(root: Node) -> None:
    missed, promise, chance, end_to_end = map(_text, root.every("ul", "advice")[0].every("li"))
    assert missed.startswith("near is missed most: 50 % of it is accepted without an attack, 100 %")
    assert missed.endswith("far is missed least, 0 %.")
    assert "the guarantee is at most 5 %: the measured rate is within it." in promise
    assert chance.startswith("At 2/255 and above an attacker")
    assert "mean AUROC 0.375" in chance
    assert "acceptance for 50 % of in-distribution images" in end_to_end
    assert _rows(root, "Trade-off of the threshold")[-1] == ["0 %", "25 %", "75 %"]


def test_page_states_the_protocol(root: Node) -> None:
    section = next(each for each in root.every("section") if "Protocol" in each.text)
    assert [_text(line) for line in section.every("li")][:4] == [
        "In-distribution images: 4 of things. Out-of-distribution images: 4 of near, 4 of far.",
        "An image is rejected if its energy score is above 0.5. At this threshold at most 5 % of"
        " images drawn like the 100 calibration images are rejected, with 95 % confidence.",
        "Attacked: every pixel value may change by at most the budget, and the attacker knows the"
        " network. In-distribution images are attacked towards rejection, outliers towards"
        " acceptance. Budgets: 2/255 of the pixel range.",
        "Attack: APGD on the score, 30 steps, 1 start; the best iterate is the result.",
    ]


def test_page_tables_hold_the_figures_of_the_report(root: Node) -> None:
    assert _rows(root, "AUROC, both sides attacked") == [
        ["near", "0.750[0.700, 0.800]", "0.250[0.200, 0.300]"],
        ["far", "1.000[0.950, 1.050]", "0.500[0.450, 0.550]"],
        ["mean", "0.875[0.855, 0.895]", "0.375[0.355, 0.395]"],
    ]
    assert _rows(root, "Mean AUROC of the same images by runtime") == [
        ["torch", "0.875", "0.375"],
        ["ONNX Runtime", "0.875", "0.375"],
    ]
    assert _rows(root, "Other measures, 2/255")[0] == [
        *("near", "0.700", "0.600", "25 %", "35 %", "45 %")
    ]
    assert [row[:5] for row in _rows(root, "In-distribution images")] == [
        ["clean", "75 %", "25 %", "0 %", "75 %"],
        ["2/255", "50 %", "25 %", "25 %", "66.7 %"],
        ["2/255, end to end", "25 %", "50 %", "25 %", "33.3 %"],
    ]


def test_page_draws_the_outcomes_in_proportion(root: Node) -> None:
    bars = [
        (float(bar.attributes.get("x", "0")), float(bar.attributes["width"]))
        for cell in root.every("td")
        for bar in cell.every("rect")
    ]
    # Of 220 units: 75 and 25 %; 50, 25 and 25 %; 25, 50 and 25 %.
    assert bars == [
        *[(0, 165), (165, 55), (220, 0)],
        *[(0, 110), (110, 55), (165, 55)],
        *[(0, 55), (55, 110), (165, 55)],
    ]


def test_page_shows_the_gallery_of_false_accepts(root: Node) -> None:
    figures = root.every("div", "gallery")[0].every("figure")
    assert len(figures) == 3
    images = figures[0].every("img")
    assert [each.attributes["alt"] for each in images] == [
        "an image of far, clean",
        "an image of far, attacked",
        "an image of far, perturbation",
    ]
    assert {each.attributes["width"] for each in images} == {"8"}
    caption = figures[0].every("figcaption")[0].text
    assert caption == f"far accepted as {HOSTILE}; score 1.25 clean, 0.25 attacked"


def test_page_without_false_accepts_states_it() -> None:
    root = _root(REPORT, replace(EVIDENCE, worst_accepts=()))
    assert "Attacked at 2/255, no outlier was accepted." in [p.text for p in root.every("p")]


def test_page_shows_classes_confusions_and_remedies() -> None:
    update = {"classes": CLASSES, "accuracy": 0.7, "recipe": HARDENED}
    root = _root(REPORT.model_copy(update=update), EVIDENCE)
    headings = [heading.text for heading in root.every("h2")]
    assert headings[1:6] == [
        "Recommendations",
        "What to change",
        "Protocol",
        "Ranking",
        "Decisions",
    ]
    assert "Classes" in headings
    assert _rows(root, "Accuracy by class")[0] == ["cat", "10", "50 %", "10 %", "dog 4, car 1"]
    matrix = "Confusion matrix: true classes in rows, predicted classes in columns"
    assert _rows(root, matrix)[0] == ["cat", "5", "4", "0"]


def test_page_of_a_quick_evaluation_states_it() -> None:
    suite = REPORT.suite.model_copy(update={"name": "quick"})
    page = write_html(REPORT.model_copy(update={"suite": suite}), EVIDENCE)
    assert "<strong>Quick evaluation.</strong>" in page
    assert "Quick evaluation" not in write_html(REPORT, EVIDENCE)


def test_page_has_the_false_rejections_of_each_predicted_class(root: Node) -> None:
    caption = "False rejections of calibration images by predicted class"
    assert not [t for t in root.every("table") if t.every("caption")[0].text == caption]
    found = (
        PredictedClass(name="a <b>", images=80, rejected=6),
        PredictedClass(name="never predicted", images=0, rejected=0),
    )
    page = _root(REPORT.model_copy(update={"predicted_classes": found}), EVIDENCE)
    assert _rows(page, caption) == [["a <b>", "80", "7.5 %"], ["never predicted", "0", ""]]
