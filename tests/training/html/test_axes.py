import numpy as np
import pytest

from oodguard.training.report.charts import Axis, Plane, round_ticks


def test_the_corners_of_the_plane_are_its_margins() -> None:
    # 340 x 260 with 54 left, 12 right, 12 above, 42 below: 274 wide and 206 high inside.
    plane = Plane(
        x=Axis(low=0, high=2, label="x", ticks={}), y=Axis(low=-1, high=1, label="y", ticks={})
    )
    assert plane.point(0, -1) == (54, 218)
    assert plane.point(2, 1) == (328, 12)
    assert plane.points([0, 1, 2], [-1, 0, 1]).tolist() == [[54, 218], [191, 115], [328, 12]]


def test_every_tick_is_written_where_its_value_lies() -> None:
    plane = Plane(
        x=Axis(low=0, high=4, label="epsilon", ticks={1.0: "one"}),
        y=Axis(low=0, high=1, label="AUROC", ticks={0.5: "half"}),
    )
    drawn = plane.axes()
    # x: 54 + 274 / 4, on the axis at 218 + 17; y: 12 + 206 / 2, 4 lower to be centred.
    assert '<text x="122.5" y="235" text-anchor="middle" class="tick">one</text>' in drawn
    assert '<text x="48" y="119" text-anchor="end" class="tick">half</text>' in drawn
    assert ">epsilon</text>" in drawn
    assert ">AUROC</text>" in drawn


@pytest.mark.parametrize(
    ("low", "high", "wanted"),
    [
        (0, 1, {0.0: "0", 0.2: "0.2", 0.4: "0.4", 0.6: "0.6", 0.8: "0.8", 1.0: "1"}),
        (-7, 3, {-6.0: "-6", -4.0: "-4", -2.0: "-2", 0.0: "0", 2.0: "2"}),
        (0, 0.24, {0.0: "0", 0.05: "0.05", 0.1: "0.1", 0.15: "0.15", 0.2: "0.2"}),
    ],
)
def test_ticks_are_round_numbers(low: float, high: float, wanted: dict[float, str]) -> None:
    ticks = round_ticks(low, high)
    assert list(ticks.values()) == list(wanted.values())
    np.testing.assert_allclose(list(ticks), list(wanted), atol=1e-12)


def test_an_axis_rises() -> None:
    with pytest.raises(ValueError, match="came 1 to 1, wanted rising ends"):
        Axis(low=1, high=1, label="x", ticks={})
