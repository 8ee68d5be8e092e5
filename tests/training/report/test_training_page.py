from pathlib import Path

from oodguard.training.fit.run_logs import RunLogs
from oodguard.training.report.training_page import read_curves, write_training_page
from tests.training.report.parsing import parse
from tests.training.runs import epoch


def _logs(run: Path) -> None:
    logs = RunLogs(run, lambda number: 0.5 ** (number + 1))
    logs.begin([epoch(0), epoch(1, loss=1.5, accuracy=0.75, validation_s=1.0)])
    logs.close()


def test_training_page_draws_the_columns_of_the_log(tmp_path: Path) -> None:
    _logs(tmp_path)
    curves = read_curves(tmp_path / "logs" / "csv" / "metrics.csv")
    assert curves["step"] == [1, 2]
    assert curves["loss"] == [2.5, 1.5]
    assert curves["validation_s"] == [None, 1]
    page = write_training_page(tmp_path, tmp_path, name="<tiny>", notes=["Rolled back."])
    assert page == tmp_path / "training.html"
    root = parse(page.read_text(encoding="utf-8"))
    assert root.every("h1")[0].text == "<tiny>"
    assert [each.text for each in root.every("figcaption")] == [
        "loss: training loss 1.5",
        "accuracy: training, as attacked 0.75, validation, clean 0.75, validation, attacked 0.25",
        "learning rate: at the end of the epoch 0.25",
        "seconds per epoch: all 3, robust validation 1",
    ]
    assert root.every("li")[0].text == "Rolled back."
    assert not root.every("script")


def test_training_page_is_not_written_without_a_log(tmp_path: Path) -> None:
    assert write_training_page(tmp_path, tmp_path, name="tiny", notes=()) is None
