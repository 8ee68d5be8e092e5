from oodguard.training.report.charts import MEAN, SecurityPoint, security_chart, security_curves
from oodguard.training.report.model import Report
from tests.training.html.parsing import parse

CURVES = {
    "near": (
        SecurityPoint(epsilon_255=0, auroc=0.75, interval=(0.5, 1.0)),
        SecurityPoint(epsilon_255=4, auroc=0.25, interval=(0.0, 0.5)),
    ),
    "far": (SecurityPoint(epsilon_255=0, auroc=1.0), SecurityPoint(epsilon_255=4, auroc=0.5)),
}


def test_the_points_and_the_interval_lie_where_they_should() -> None:
    drawn = parse(security_chart(CURVES, focus="near", key="k"))
    # x = 54 + 274 epsilon / 4, y = 218 - 206 AUROC.
    assert drawn.every("polyline", "curve focus")[0].points == [(54, 63.5), (328, 166.5)]
    assert drawn.every("polyline", "curve other")[0].points == [(54, 12), (328, 115)]
    assert drawn.every("polygon", "band")[0].points == [(54, 115), (328, 218), (328, 115), (54, 12)]
    dots = [(dot.attributes["cx"], dot.attributes["cy"]) for dot in drawn.every("circle")]
    assert dots == [("54", "63.5"), ("328", "166.5")]
    assert drawn.every("desc")[0].text == (
        "clean: 0.750 (0.500 to 1.000), 4/255: 0.250 (0.000 to 0.500)"
    )


def test_a_curve_without_intervals_has_no_band() -> None:
    drawn = parse(security_chart(CURVES, focus="far", key="k"))
    assert drawn.every("polygon", "band") == []
    assert drawn.every("desc")[0].text == "clean: 1.000, 4/255: 0.500"


def test_the_curves_of_a_report_are_those_of_both_sides_attacked(report: Report) -> None:
    curves = security_curves(report)
    assert list(curves) == [MEAN, "near", "far"]
    assert [(p.epsilon_255, p.auroc) for p in curves["near"]] == [(0, 0.75), (2, 0.25)]
    assert [(p.epsilon_255, p.auroc) for p in curves[MEAN]] == [(0, 0.875), (2, 0.375)]
