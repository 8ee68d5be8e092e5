"""The logs of a run, read with the standard library and the TensorBoard protocol."""

import csv
from pathlib import Path

import pytest
from tensorboardX.proto.event_pb2 import Event  # type: ignore[import-untyped]
from tensorboardX.record_writer import masked_crc32c  # type: ignore[import-untyped]

from oodguard.training.fit.run_logs import RunLogs
from oodguard.training.run_progress import Epoch
from tests.training.runs import epoch


def _epoch(number: int, auroc: float | None = 0.75) -> Epoch:
    return epoch(number, attacked_auroc=auroc)


def _logs(run: Path) -> RunLogs:
    return RunLogs(run, lambda epoch: 0.5 ** (epoch + 1))


def _rows(run: Path) -> list[dict[str, str]]:
    with (run / "logs" / "csv" / "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def _events(run: Path) -> list[tuple[int, str, float]]:
    """Read TensorBoard records: length, its checksum, an event, its checksum."""
    (path,) = (run / "logs" / "tensorboard").glob("events.out.tfevents.*")
    content, values = path.read_bytes(), []
    while content:
        length = int.from_bytes(content[:8], "little")
        body = content[12 : 12 + length]
        assert int.from_bytes(content[12 + length : 16 + length], "little") == masked_crc32c(body)
        event = Event.FromString(body)
        values += [(event.step, value.tag, value.simple_value) for value in event.summary.value]
        content = content[16 + length :]
    return values


def test_epoch_is_logged_to_csv_and_tensorboard(tmp_path: Path) -> None:
    logs = _logs(tmp_path)
    logs.begin([])
    logs.add(_epoch(0))
    logs.close()
    expected = {
        "loss": 2.5,
        "training_accuracy": 0.75,
        "accuracy": 0.625,
        "attacked_accuracy": 0.25,
        "attacked_auroc": 0.75,
        "duration_s": 3.0,
        "learning_rate": 0.5,
    }
    (row,) = _rows(tmp_path)
    assert {key: float(value) for key, value in row.items()} == {**expected, "step": 1}
    assert sorted(_events(tmp_path)) == sorted((1, key, value) for key, value in expected.items())


def test_resumed_logs_contain_every_epoch_once(tmp_path: Path) -> None:
    first = _logs(tmp_path)
    first.begin([])
    first.add(_epoch(0, auroc=None))
    first.add(_epoch(1))
    first.close()
    second = _logs(tmp_path)
    second.begin([_epoch(0, auroc=None)])  # the second has no checkpoint
    second.add(_epoch(1))
    second.add(_epoch(2))
    second.close()
    rows = [(row["step"], row["attacked_auroc"]) for row in _rows(tmp_path)]
    assert rows == [("1", ""), ("2", "0.75"), ("3", "0.75")]
    steps = [step for step, tag, _ in _events(tmp_path) if tag == "learning_rate"]
    assert steps == [1, 2, 3]


@pytest.mark.parametrize("name", ["notes.txt", "metrics.csv"])
def test_other_files_in_the_logs_folder_are_not_deleted(tmp_path: Path, name: str) -> None:
    other = tmp_path / "logs" / name
    other.parent.mkdir(parents=True)
    other.write_text("mine")
    logs = _logs(tmp_path)
    logs.begin([_epoch(0)])
    logs.begin([_epoch(0)])
    logs.close()
    assert other.read_text() == "mine"
    assert len(_rows(tmp_path)) == 1
