import numpy as np
import pytest
from matplotlib.patches import StepPatch
from matplotlib.path import Path as MplPath
from sklearn.metrics import roc_auc_score

from oodguard.training.report.charts import (
    MEAN,
    Scale,
    common_scale,
    histogram_charts,
    histogram_figure,
    roc_charts,
    roc_figure,
    security_charts,
    security_curves,
    security_figure,
    shares,
)
from oodguard.training.report.model import EvaluationEvidence, Report
from tests.training.report.parsing import parse

EDGES = np.array([0.25, 0.5, 1.0])

CURVES = {
    "near": np.array([[0, 0.75, 0.5, 1.0], [4, 0.25, 0.0, 0.5]]),
    "far": np.array([[0, 1.0, 1.0, 1.0], [4, 0.5, 0.5, 0.5]]),
}


def _vertices(path: MplPath) -> list[list[float]]:
    vertices: list[list[float]] = np.asarray(path.vertices).tolist()
    return vertices


def test_security_curves_are_those_of_both_sides_attacked(report: Report) -> None:
    curves = security_curves(report)
    assert list(curves) == [MEAN, "near", "far"]
    # The example's intervals are +- 0.05 for a set and +- 0.02 for the mean.
    np.testing.assert_allclose(curves["near"], [[0, 0.75, 0.7, 0.8], [2, 0.25, 0.2, 0.3]])
    np.testing.assert_allclose(curves[MEAN], [[0, 0.875, 0.855, 0.895], [2, 0.375, 0.355, 0.395]])


def test_security_figure_draws_the_focused_curve_last_with_its_intervals() -> None:
    (axes,) = security_figure(CURVES, focus="near").axes
    chance, other, focus = axes.lines
    np.testing.assert_array_equal(chance.get_ydata(), [0.5, 0.5])
    np.testing.assert_array_equal(other.get_xydata(), [[0, 1], [4, 0.5]])
    np.testing.assert_array_equal(focus.get_xydata(), [[0, 0.75], [4, 0.25]])
    assert other.get_alpha() == 0.4
    band, whiskers = axes.collections
    corners = {tuple(corner) for corner in _vertices(band.get_paths()[0])}
    assert corners == {(0, 0.5), (0, 1), (4, 0), (4, 0.5)}
    ends = [_vertices(path) for path in whiskers.get_paths()]
    assert ends == [[[0, 0.5], [0, 1]], [[4, 0], [4, 0.5]]]
    assert axes.get_xlim() == (0, 4)


def test_security_chart_describes_its_points(report: Report) -> None:
    near = security_charts(report)[1]
    assert near.caption == "near"
    assert parse(near.svg).every("desc")[0].text == (
        "clean: 0.750 (0.700 to 0.800), 2/255: 0.250 (0.200 to 0.300)"
    )


def test_roc_figure_draws_the_curve_and_the_served_threshold() -> None:
    inliers = np.array([0.0, 0.25, 0.5, 0.75], np.float32)
    outliers = np.array([0.5, 1.0], np.float32)
    (axes,) = roc_figure([(inliers, outliers)], 0.5).axes
    _, curve, served = axes.lines
    # As the threshold falls: at 1.0 half of the outliers; at .75 the first inlier; at .5 one of
    # each; then the other inliers.
    np.testing.assert_array_equal(
        curve.get_xydata(), [[0, 0], [0, 0.5], [0.25, 0.5], [0.5, 1], [1, 1]]
    )
    # Above .5 are one of four inliers and one of two outliers.
    np.testing.assert_array_equal(served.get_xydata(), [[0.25, 0.5]])


def test_roc_figure_covers_the_auroc(evidence: EvaluationEvidence) -> None:
    pairs = [(each.inliers, each.outliers["near"]) for each in evidence.conditions]
    (axes,) = roc_figure(pairs, evidence.threshold).axes
    for curve, (inliers, outliers) in zip(axes.lines[1:3], pairs, strict=True):
        truth = np.repeat([0, 1], [len(inliers), len(outliers)])
        expected = roc_auc_score(truth, np.concatenate([inliers, outliers]))
        area = np.trapezoid(np.asarray(curve.get_ydata()), np.asarray(curve.get_xdata()))
        assert area == pytest.approx(expected)


def test_roc_charts_have_one_chart_per_set(report: Report, evidence: EvaluationEvidence) -> None:
    near, far = roc_charts(report, evidence)
    assert (near.caption, far.caption) == ("near", "far")
    svg = parse(near.svg)
    assert svg.every("title")[0].text == "ROC curves, near"
    assert "clean 0.750, 2/255 0.250" in svg.every("desc")[0].text


def test_histogram_bar_includes_its_upper_edge_and_outermost_bars_are_unbounded() -> None:
    scores = np.array([-9, 0.25, 0.3, 0.5, 0.6, 7, np.nan, np.inf], np.float32)
    assert shares(scores, EDGES).tolist() == [2 / 8, 2 / 8, 1 / 8, 3 / 8]


@pytest.mark.parametrize("threshold", [-3.0, 0.0, 0.4, 3.0])
def test_histogram_bars_above_the_threshold_are_the_rejected_images(threshold: float) -> None:
    scores = np.random.default_rng(0).normal(0, 1, 999).astype(np.float32)
    scores[:5] = [np.nan, np.inf, threshold, threshold, -np.inf]
    scale = common_scale([scores], threshold)
    position = int(np.flatnonzero(scale.edges == threshold)[0])
    rejected = np.mean([not score <= threshold for score in scores.tolist()])
    assert shares(scores, scale.edges)[position + 1 :].sum() == pytest.approx(rejected)


def test_histogram_bars_hold_equally_many_images() -> None:
    scores = np.exp(np.random.default_rng(0).normal(0, 2, 3200)).astype(np.float32)
    scale = common_scale([scores], float(np.median(scores)))
    np.testing.assert_allclose(shares(scores, scale.edges), 1 / 32, atol=0.002)
    assert scale.tallest == shares(scores, scale.edges).max()


def test_histogram_figure_draws_shares_of_equal_scores() -> None:
    scores = np.zeros(5, np.float32)
    (axes,) = histogram_figure({0: scores}, common_scale([scores], 0.5)).axes
    assert len(axes.patches) == 2  # the area and its outline


def test_histogram_figure_draws_the_shares_and_the_threshold() -> None:
    scale = Scale(edges=EDGES, tallest=0.5, threshold=0.5)
    clean = np.array([0, 0.3, 0.6, 2], np.float32)
    attacked = np.array([0, 0, 0.3, 0.4], np.float32)
    (axes,) = histogram_figure({0: clean, 2: attacked}, scale).axes
    drawn = [patch for patch in axes.patches if isinstance(patch, StepPatch)]
    heights = [patch.get_data()[0].tolist() for patch in drawn]
    assert heights == [[0.25] * 4, [0.25] * 4, [0.5, 0.5, 0, 0]]
    assert [patch.get_fill() for patch in drawn] == [True, False, False]
    (threshold,) = axes.lines
    assert np.ravel(threshold.get_xdata()).tolist() == [
        2,
        2,
    ]  # between the second and the third bar
    assert [text.get_text() for text in axes.texts] == ["accept", "reject"]
    assert [text.get_text() for text in axes.get_xticklabels()] == ["0.25", "0.5", "1"]


def test_histogram_charts_have_the_test_set_and_every_other_set(
    report: Report, evidence: EvaluationEvidence
) -> None:
    charts = histogram_charts(report, evidence)
    assert [chart.caption for chart in charts] == ["things (in-distribution)", "near", "far"]
    # Above .5 are clean 2 and attacked 0 of the 4 images of "near".
    assert parse(charts[1].svg).every("desc")[0].text == (
        "Rejected at the served threshold 0.5: clean 50 %, 2/255 0 %"
    )
