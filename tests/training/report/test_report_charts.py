import numpy as np
import pytest
from matplotlib.path import Path as MplPath
from sklearn.metrics import roc_auc_score

from oodguard.training.report.charts import (
    MEAN,
    roc_charts,
    roc_figure,
    security_charts,
    security_curves,
    security_figure,
)
from tests.training.report.example import EVIDENCE, REPORT
from tests.training.report.parsing import parse

CURVES = {
    "near": np.array([[0, 0.75, 0.5, 1.0], [4, 0.25, 0.0, 0.5]]),
    "far": np.array([[0, 1.0, 1.0, 1.0], [4, 0.5, 0.5, 0.5]]),
}


def _vertices(path: MplPath) -> list[list[float]]:
    vertices: list[list[float]] = np.asarray(path.vertices).tolist()
    return vertices


def test_security_curves_are_those_of_both_sides_attacked() -> None:
    curves = security_curves(REPORT)
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


def test_security_chart_describes_its_points() -> None:
    near = security_charts(REPORT)[1]
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


def test_roc_figure_covers_the_auroc() -> None:
    pairs = [(each.inliers, each.outliers["near"]) for each in EVIDENCE.conditions]
    (axes,) = roc_figure(pairs, EVIDENCE.threshold).axes
    for curve, (inliers, outliers) in zip(axes.lines[1:3], pairs, strict=True):
        truth = np.repeat([0, 1], [len(inliers), len(outliers)])
        expected = roc_auc_score(truth, np.concatenate([inliers, outliers]))
        area = np.trapezoid(np.asarray(curve.get_ydata()), np.asarray(curve.get_xdata()))
        assert area == pytest.approx(expected)


def test_roc_charts_have_one_chart_per_set() -> None:
    near, far = roc_charts(REPORT, EVIDENCE)
    assert (near.caption, far.caption) == ("near", "far")
    svg = parse(near.svg)
    assert svg.every("title")[0].text == "ROC curves, near"
    assert "clean 0.750, 2/255 0.250" in svg.every("desc")[0].text
