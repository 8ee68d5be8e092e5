from oodguard.training.report.model import Decisions, Report
from oodguard.training.report.page import decisions_section, outcome_bar
from tests.training.html.parsing import parse


def test_the_bar_is_parted_as_the_shares_are() -> None:
    shares = Decisions(accepted_right=0.5, accepted_wrong=0.25, rejected=0.25)
    bars = parse(outcome_bar(shares, key="k", title="clean")).every("rect")
    assert [(bar.attributes["x"], bar.attributes["width"]) for bar in bars] == [
        ("0", "110"),
        ("110", "55"),
        ("165", "55"),
    ]


def test_the_matrix_has_a_row_for_every_attack(report: Report) -> None:
    (table,) = parse(decisions_section(report)).every("table")
    rows = [
        [cell.text.replace("\N{NO-BREAK SPACE}", " ") for cell in row.children[:5]]
        for row in table.every("tbody")[0].every("tr")
    ]
    assert rows == [
        ["clean", "75 %", "25 %", "0 %", "75 %"],
        ["2/255", "50 %", "25 %", "25 %", "66.7 %"],
        ["2/255, end to end", "25 %", "50 %", "25 %", "33.3 %"],
    ]
