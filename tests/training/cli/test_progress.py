import pytest
from rich.console import Console

from oodguard.training.cli.progress import ProgressBar
from oodguard.training.run_folder import Epoch


@pytest.mark.parametrize(
    ("auroc", "expected"), [(0.8125, ", AUROC 0.812, 3 s"), (None, "50.0%, 3 s")]
)
def test_progress_bar_prints_the_attacked_auroc_if_there_is_one(
    auroc: float | None, expected: str
) -> None:
    console = Console(width=200, force_terminal=False, record=True)
    bar = ProgressBar(console)
    with bar.display:
        bar.finish_epoch(
            Epoch(
                epoch=0,
                loss=1.0,
                training_accuracy=0.5,
                accuracy=0.5,
                attacked_accuracy=0.5,
                attacked_auroc=auroc,
                duration_s=3.0,
            )
        )
    assert expected in console.export_text()
