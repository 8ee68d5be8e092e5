import pytest

from oodguard.training.report.model import EvaluationEvidence, Report
from oodguard.training.report.page import advice_section
from tests.training.html.parsing import parse


def _advice(report: Report, evidence: EvaluationEvidence) -> list[str]:
    items = parse(advice_section(report, evidence)).every("ul", "advice")[0].every("li")
    return [item.text.replace("\N{NO-BREAK SPACE}", " ") for item in items]


def test_the_set_that_is_missed_most_is_named(report: Report, evidence: EvaluationEvidence) -> None:
    (said,) = [text for text in _advice(report, evidence) if "missed most" in text]
    assert "near" in said
    assert "50 % of it is accepted unattacked, 100 % attacked at 2/255" in said
    assert "far is missed least, 0 %" in said


@pytest.mark.parametrize(
    ("images", "rejected", "said"),
    [
        (100, 0.05, "as promised"),
        # Two standard deviations of 5 % of 100 images are 4.3 points, of 10,000 .43.
        (100, 0.09, "no more than chance does with 100 images"),
        (100, 0.1, "more than chance allows"),
        (10_000, 0.06, "more than chance allows"),
    ],
)
def test_false_rejections_are_held_against_the_promise(
    report: Report, evidence: EvaluationEvidence, images: int, rejected: float, said: str
) -> None:
    (result,) = report.results
    clean, attacked = result.conditions
    decisions = clean.inliers.decisions.model_copy(update={"rejected": rejected})
    inliers = clean.inliers.model_copy(update={"images": images, "decisions": decisions})
    conditions = (clean.model_copy(update={"inliers": inliers}), attacked)
    changed = result.model_copy(update={"conditions": conditions})
    told = _advice(report.model_copy(update={"results": (changed,)}), evidence)
    assert [said in text for text in told].count(True) == 1


def test_the_budget_from_which_ranking_is_chance_is_named(
    report: Report, evidence: EvaluationEvidence
) -> None:
    (said,) = [text for text in _advice(report, evidence) if "chance (" in text]
    assert said.startswith("From 2/255 on an attacker")
    assert "mean AUROC 0.375" in said


def test_moving_the_threshold_is_worked_out_on_the_evidence(
    report: Report, evidence: EvaluationEvidence
) -> None:
    table = parse(advice_section(report, evidence)).every("table")[0]
    last = [cell.text.replace("\N{NO-BREAK SPACE}", " ") for cell in table.every("tr")[-1].children]
    # A fifth of four images is none: the limit is the highest inlier, .5. Of near and far together
    # 2 of 8 lie at or below it clean, and 4 + 2 attacked.
    assert last == ["0 %", "25 %", "75 %"]
