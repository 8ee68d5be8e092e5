import pytest
from rich.console import Console

from oodguard.training.cli.progress import ProgressBar
from tests.training.runs import epoch


@pytest.mark.parametrize(
    ("auroc", "expected"), [(0.8125, ", AUROC 0.812, 3 s"), (None, "62.5%, 3 s")]
)
def test_progress_bar_prints_the_attacked_auroc_if_there_is_one(
    auroc: float | None, expected: str
) -> None:
    console = Console(width=200, force_terminal=False, record=True)
    bar = ProgressBar(console)
    with bar.display:
        bar.finish_epoch(epoch(attacked_accuracy=0.625, attacked_auroc=auroc))
    assert expected in console.export_text()
