from oodguard.training.report.card import budget, percent, protocol_text, share, table
from oodguard.training.report.model import Trust
from tests.training.report.example import REPORT


def test_card_numbers_are_written_short() -> None:
    assert [percent(value) for value in (0, 0.05, 0.1234, 1)] == ["0 %", "5 %", "12.3 %", "100 %"]
    assert [share(value) for value in (0.5, 1.0)] == [".500", "1.000"]
    assert [budget(epsilon_255) for epsilon_255 in (0.0, 2.0, 0.5)] == ["clean", "2/255", "0.5/255"]


def test_card_table_has_a_column_per_budget_and_a_row_per_set() -> None:
    assert table(REPORT).splitlines() == [
        "| set | clean | 2/255 |",
        "| --- | --- | --- |",
        "| near | .750 / 50 % | .250 / 100 % |",
        "| far | 1.000 / 0 % | .500 / 50 % |",
        "| **mean** | **.875** / 25 % | **.375** / 75 % |",
        "| false rejections | 0 % | 25 % |",
        "| wrong and accepted | 25 % | 50 % |",
    ]


def test_card_states_the_protocol() -> None:
    text = protocol_text(REPORT)
    for part in ("APGD", "30 steps from 1 start", "4 test images", "Suite `standard`", "15 steps"):
        assert part in text
    assert "every check of the attack passed" in text


def test_card_marks_untrusted_figures() -> None:
    report = REPORT.model_copy(update={"trust": Trust(stamp="untrusted", checks=())})
    assert "**a check of the attack failed" in protocol_text(report)
