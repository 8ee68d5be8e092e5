import numpy as np
from sklearn.metrics import roc_curve

from oodguard.training.report.charts import Curve, roc, roc_chart, roc_section, simplified
from oodguard.training.report.model import EvaluationEvidence, Report
from tests.training.html.parsing import parse

INLIERS = np.array([0.0, 0.25, 0.5, 0.75], np.float32)
OUTLIERS = np.array([0.5, 1.0], np.float32)


def test_the_curve_of_six_scores_is_the_one_worked_out_by_hand() -> None:
    # As the limit falls: at 1.0 half of the outliers; .75 the first inlier; .5 one of each; then
    # inliers alone.
    wanted = [[0, 0], [0, 0.5], [0.25, 0.5], [0.5, 1], [0.75, 1], [1, 1]]
    assert roc(INLIERS, OUTLIERS).tolist() == wanted


def test_the_curve_is_that_of_scikit_learn() -> None:
    generator = np.random.default_rng(1)
    inliers = generator.integers(0, 20, 60).astype(np.float32)  # with ties
    outliers = generator.integers(5, 25, 40).astype(np.float32)
    truth = np.concatenate([np.zeros(60), np.ones(40)])
    scores = np.concatenate([inliers, outliers])
    rejected, caught, _ = roc_curve(truth, scores, drop_intermediate=False)
    np.testing.assert_allclose(roc(inliers, outliers), np.stack([rejected, caught], axis=1))


def test_a_score_that_is_no_number_is_the_first_to_be_rejected() -> None:
    inliers = np.array([0.0, np.nan], np.float32)
    curve = roc(inliers, np.array([np.inf], np.float32))
    assert curve.tolist() == [[0, 0], [0.5, 0], [0.5, 1], [1, 1]]


def test_simplifying_keeps_corners_and_drops_what_lies_on_a_line() -> None:
    points = np.array([[0, 0], [0, 0.5], [0, 1], [0.5, 1.001], [1, 1]])
    assert simplified(points, 0.01).tolist() == [[0, 0], [0, 1], [1, 1]]
    assert simplified(points, 0.0001).tolist() == [[0, 0], [0, 1], [0.5, 1.001], [1, 1]]


def test_a_simplified_curve_stays_within_the_tolerance() -> None:
    generator = np.random.default_rng(2)
    points = roc(
        generator.normal(0, 1, 500).astype(np.float32),
        generator.normal(1, 1, 500).astype(np.float32),
    )
    few = simplified(points, 0.01)
    assert len(few) < len(points) / 4
    assert {tuple(point) for point in few.tolist()} <= {tuple(p) for p in points.tolist()}
    # The curves rise along x + y, so that the distance can be taken there.
    along = points.sum(axis=1)
    drawn = np.stack([np.interp(along, few.sum(axis=1), few[:, i]) for i in (0, 1)], axis=1)
    assert np.abs(drawn - points).max() <= 0.01 * np.sqrt(2)


def test_the_drawn_points_are_those_of_the_curve() -> None:
    curve = Curve(name="clean", inliers=INLIERS, outliers=OUTLIERS, auroc=0.8125)
    drawn = parse(roc_chart([curve], threshold=0.5, key="k", title="near"))
    (line,) = drawn.every("polyline", "curve level-0")
    # x = 54 + 274 rejected, y = 218 - 206 caught; (.75, 1) lies on a line and is not drawn.
    assert line.points == [(54, 218), (54, 115), (122.5, 115), (191, 12), (328, 12)]
    # Above .5 lie one inlier of four and one outlier of two.
    (served,) = drawn.every("circle", "served level-0")
    assert (served.attributes["cx"], served.attributes["cy"]) == ("122.5", "115")
    assert drawn.every("title")[0].text == "ROC curves, near"
    assert "clean 0.812" in drawn.every("desc")[0].text


def test_there_is_a_chart_for_every_set_with_a_curve_for_every_budget(
    report: Report, evidence: EvaluationEvidence
) -> None:
    figures = parse(roc_section(report, evidence)).every("figure")
    assert [figure.every("figcaption")[0].text for figure in figures] == ["near", "far"]
    assert all(len(figure.every("polyline", "curve")) == 2 for figure in figures)
