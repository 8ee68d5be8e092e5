import pytest

from oodguard.training.report.card import percent, protocol_text, table
from oodguard.training.report.model import Trust
from tests.training.reports import tiny_report


@pytest.mark.parametrize(
    ("share", "wanted"), [(0, "0 %"), (0.05, "5 %"), (0.1234, "12.3 %"), (1, "100 %")]
)
def test_a_share_is_written_as_a_percentage(share: float, wanted: str) -> None:
    assert percent(share) == wanted


def test_the_table_has_a_column_a_budget_and_a_row_a_set() -> None:
    assert table(tiny_report()).splitlines() == [
        "| set | clean | 2/255 |",
        "| --- | --- | --- |",
        "| near | .750 / 50 % | .250 / 100 % |",
        "| far | 1.000 / 0 % | .500 / 50 % |",
        "| **mean** | **.875** / 25 % | **.375** / 75 % |",
        "| false rejections | 0 % | 25 % |",
        "| wrong and accepted | 25 % | 50 % |",
    ]


def test_the_protocol_is_told_in_full() -> None:
    text = protocol_text(tiny_report())
    for part in ("APGD", "30 steps from 1 start", "4 test images", "suite `standard`", "15 steps"):
        assert part.lower() in text.lower()
    assert "every check of the attack passed" in text


def test_untrusted_figures_say_so() -> None:
    report = tiny_report().model_copy(update={"trust": Trust(stamp="untrusted", checks=())})
    assert "**a check of the attack failed" in protocol_text(report)
