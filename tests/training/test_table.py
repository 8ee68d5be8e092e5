import pytest

from training.first_report import Condition, Protocol, Report, SetResult
from training.table import percent, table


@pytest.mark.parametrize(
    ("share", "wanted"), [(0, "0 %"), (0.05, "5 %"), (0.1234, "12.3 %"), (1, "100 %")]
)
def test_a_share_is_written_as_a_percentage(share: float, wanted: str) -> None:
    assert percent(share) == wanted


def test_the_table_has_a_column_a_budget_and_a_row_a_set() -> None:
    def condition(
        epsilon: float, false_rejections: float, *pairs: tuple[float, float]
    ) -> Condition:
        sets = {
            name: SetResult(images=10, auroc=auroc, missed_ood_rate=missed)
            for name, (auroc, missed) in zip(("near", "far"), pairs, strict=True)
        }
        return Condition(epsilon_255=epsilon, false_rejection_rate=false_rejections, sets=sets)

    report = Report(
        score="msp",
        alpha=0.05,
        delta=0.05,
        threshold=0.5,
        calibration_images=100,
        accuracy=0.9,
        accuracy_images=50,
        protocol=Protocol(steps=1, restarts=1, step_size=1.0, images=10, seed=0),
        conditions=(
            condition(0, 0.04, (0.8, 0.5), (1.0, 0.1)),
            condition(2, 0.25, (0.3, 0.9), (0.5, 0.7)),
        ),
        duration_s=1.0,
        hardware="a machine",
        command="a command",
    )
    assert table(report).splitlines() == [
        "| set | clean | 2/255 |",
        "| --- | --- | --- |",
        "| near | .800 / 50 % | .300 / 90 % |",
        "| far | 1.000 / 10 % | .500 / 70 % |",
        "| **mean** | **.900** / 30 % | **.400** / 80 % |",
        "| false rejections | 4 % | 25 % |",
    ]
