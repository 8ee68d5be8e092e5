import numpy as np
import pytest

from oodguard.training.report.charts import (
    Layer,
    Scale,
    common_scale,
    histogram_chart,
    histogram_section,
    shares,
)
from oodguard.training.report.model import EvaluationEvidence, Report
from tests.training.html.parsing import parse

EDGES = np.array([0.25, 0.5, 1.0])


def test_a_bar_holds_its_upper_edge_and_the_outermost_have_no_end() -> None:
    scores = np.array([-9, 0.25, 0.3, 0.5, 0.6, 7, np.nan, np.inf], np.float32)
    assert shares(scores, EDGES).tolist() == [2 / 8, 2 / 8, 1 / 8, 3 / 8]


@pytest.mark.parametrize("threshold", [-3.0, 0.0, 0.4, 3.0])
def test_the_bars_beyond_the_threshold_are_exactly_what_is_rejected(threshold: float) -> None:
    scores = np.random.default_rng(0).normal(0, 1, 999).astype(np.float32)
    scores[:5] = [np.nan, np.inf, threshold, threshold, -np.inf]
    scale = common_scale([scores], threshold)
    position = int(np.flatnonzero(scale.edges == threshold)[0])
    rejected = np.mean([not score <= threshold for score in scores.tolist()])
    assert shares(scores, scale.edges)[position + 1 :].sum() == pytest.approx(rejected)


def test_the_bars_share_the_images_evenly() -> None:
    scores = np.exp(np.random.default_rng(0).normal(0, 2, 3200)).astype(np.float32)
    scale = common_scale([scores], float(np.median(scores)))
    np.testing.assert_allclose(shares(scores, scale.edges), 1 / 32, atol=0.002)
    assert scale.tallest == shares(scores, scale.edges).max()


def test_scores_that_are_all_the_same_have_a_chart_too() -> None:
    scale = common_scale([np.zeros(5, np.float32)], 0.5)
    chart = histogram_chart(
        [Layer(name="clean", scores=np.zeros(5, np.float32), level=0)], scale, key="k", title="t"
    )
    assert len(parse(chart).every("polygon", "area")) == 1


def test_the_drawn_steps_are_the_shares() -> None:
    scale = Scale(edges=EDGES, tallest=0.5, threshold=0.5)
    clean = Layer(name="clean", scores=np.array([0, 0.3, 0.6, 2], np.float32), level=0)
    attacked = Layer(name="2/255", scores=np.array([0, 0, 0.3, 0.4], np.float32), level=2)
    drawn = parse(histogram_chart([clean, attacked], scale, key="k", title="near"))
    # Four bars of 274 / 4 = 68.5; a share of .25 is half of the height of 206.
    x = [54, 122.5, 191, 259.5, 328]
    (area,) = drawn.every("polygon", "area level-0")
    assert area.points == [
        (54, 218), *((place, 115) for i in range(4) for place in (x[i], x[i + 1])), (328, 218)
    ]  # fmt: skip
    (curve,) = drawn.every("polyline", "curve level-2")
    heights = [12, 12, 218, 218]
    assert curve.points == [
        (54, 218),
        *((place, heights[i]) for i in range(4) for place in (x[i], x[i + 1])),
        (328, 218),
    ]
    (threshold,) = drawn.every("line", "threshold")
    assert threshold.attributes["x1"] == threshold.attributes["x2"] == "191"
    assert "clean 50\N{NO-BREAK SPACE}%, 2/255 0\N{NO-BREAK SPACE}%" in drawn.every("desc")[0].text


def test_there_is_a_chart_for_the_test_set_and_every_other(
    report: Report, evidence: EvaluationEvidence
) -> None:
    figures = parse(histogram_section(report, evidence)).every("figure")
    captions = [figure.every("figcaption")[0].text for figure in figures]
    assert captions == ["things (in-distribution)", "near", "far"]
    for figure in figures:
        assert len(figure.every("polygon", "area level-0")) == 1
        assert len(figure.every("polyline", "curve level-1")) == 1
