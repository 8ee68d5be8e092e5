import numpy as np
import pytest
from matplotlib.patches import StepPatch

from oodguard.training.report.histograms import (
    Scale,
    common_scale,
    histogram_charts,
    histogram_figure,
    shares,
)
from tests.training.report.example import EVIDENCE, REPORT
from tests.training.report.parsing import parse

EDGES = np.array([0.25, 0.5, 1.0])


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
    # Between the second and the third bar.
    assert np.ravel(threshold.get_xdata()).tolist() == [2, 2]
    assert [text.get_text() for text in axes.texts] == ["accept", "reject"]
    assert [text.get_text() for text in axes.get_xticklabels()] == ["0.25", "0.5", "1"]


def test_histogram_charts_have_the_test_set_and_every_other_set() -> None:
    charts = histogram_charts(REPORT, EVIDENCE)
    assert [chart.caption for chart in charts] == ["things (in-distribution)", "near", "far"]
    # Above .5 are clean 2 and attacked 0 of the 4 images of "near".
    assert parse(charts[1].svg).every("desc")[0].text == (
        "Rejected at the served threshold 0.5: clean 50 %, 2/255 0 %"
    )
