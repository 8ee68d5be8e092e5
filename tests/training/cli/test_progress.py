import threading

import pytest
from rich.console import Console

from oodguard.command_line import output
from oodguard.command_line.progress import ProgressLines, stages
from oodguard.training.cli.progress import TIMED_STEPS, EvaluationBar, ProgressBar, attack_progress
from oodguard.training.fit.trainer import StepResult
from tests.training.runs import epoch


def _console(*, terminal: bool) -> Console:
    return Console(width=200, force_terminal=terminal, record=True, no_color=True)


@pytest.mark.parametrize(
    ("auroc", "expected"), [(0.8125, ", AUROC 0.812, 3 s"), (None, "62.5%, 3 s")]
)
def test_progress_bar_prints_the_attacked_auroc_if_there_is_one(
    auroc: float | None, expected: str
) -> None:
    console = _console(terminal=False)
    bar = ProgressBar(console)
    with bar.display:
        bar.finish_epoch(epoch(attacked_accuracy=0.625, attacked_auroc=auroc))
    assert expected in console.export_text()


@pytest.mark.parametrize("terminal", [True, False])
def test_progress_bar_is_not_shown_before_training_starts(*, terminal: bool) -> None:
    console = _console(terminal=terminal)
    with ProgressBar(console).display:
        pass
    assert not console.export_text().strip()


def test_progress_bar_prints_only_the_line_of_an_epoch_without_a_terminal() -> None:
    console = _console(terminal=False)
    bar = ProgressBar(console)
    with bar.display:
        bar.start(epochs=1, steps_per_epoch=1, done=0)
        bar.finish_epoch(epoch(attacked_accuracy=0.625))
    (line,) = console.export_text().splitlines()
    assert line.startswith("epoch 1/1: loss")


@pytest.mark.parametrize("terminal", [True, False])
def test_progress_bar_estimates_an_epoch_in_a_log(
    monkeypatch: pytest.MonkeyPatch, *, terminal: bool
) -> None:
    """A step takes 3 s, an epoch has 100 steps."""
    clock = iter(range(0, 1000, 3 * (TIMED_STEPS - 1)))
    monkeypatch.setattr("oodguard.training.cli.progress.time.perf_counter", lambda: next(clock))
    console = _console(terminal=terminal)
    bar = ProgressBar(console)
    with bar.display:
        bar.start(epochs=2, steps_per_epoch=100, done=0)
        for step in range(TIMED_STEPS + 1):
            bar.finish_step(0, StepResult(step=step, loss=1.0, accuracy=0.5))
    text = "about 5 minutes per epoch, in addition to validation; 2 epochs in all."
    assert (text in console.export_text()) == (not terminal)


def test_evaluation_bar_shows_no_time_left_at_the_end() -> None:
    console = _console(terminal=True)
    bar = EvaluationBar(console)
    with bar.display:
        bar.start(2, seconds=100.0, finished=3)
        bar.advance(2)
    *lines, last = console.export_text().splitlines()
    text = "\n".join(lines)
    assert "Continuing an interrupted evaluation; finished parts: 3.\n" in text
    assert "Estimated time of all parts: 2 minutes (50000.0 ms for a gradient step" in text
    elapsed, left = last.rsplit("left:", 1)
    assert elapsed.split()[-1].startswith("0:00:0")
    assert left.strip() == "0:00:00"


def test_evaluation_bar_shows_names_in_brackets() -> None:
    console = _console(terminal=True)
    bar = EvaluationBar(console)
    with bar.display:
        bar.stage("photos [2024] [bold]x")
        bar.display.refresh()
    assert "photos [2024] [bold]x" in console.export_text()


class Clock:
    """The time of progress lines; their thread checks it once an hour."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        monkeypatch.setattr("oodguard.command_line.progress.time.monotonic", lambda: self.now)
        monkeypatch.setattr("oodguard.command_line.progress.POLL_S", 3600)
        output.start("oodguard-train")


def test_attack_progress_prints_the_time_left_of_the_attack(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = Clock(monkeypatch)
    with stages("reading") as stage:
        advance = attack_progress(stage)
        advance(0, 1000)
        for done, at in ((50, 1005.0), (60, 1010.0), (200, 1200.0), (1000, 2000.0)):
            clock.now = at
            advance(done, 1000)
    assert capsys.readouterr().err.splitlines() == [
        "oodguard-train: attacking: 50 of 1,000 images, about 2 minutes left",
        "oodguard-train: attacking: 200 of 1,000 images, about 13 minutes left",
    ]


def test_progress_lines_name_a_stage_that_counts_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = Clock(monkeypatch)
    lines = ProgressLines("reading")
    for at in (1004.0, 1005.0, 1064.0, 1065.0):
        clock.now = at
        lines.print_if_due()
    lines.begin("calibrating")
    for at in (1069.0, 1070.0):
        clock.now = at
        lines.print_if_due()
    assert capsys.readouterr().err.splitlines() == [
        "oodguard-train: reading: 5 s so far",
        "oodguard-train: reading: 65 s so far",
        "oodguard-train: calibrating: 5 s so far",
    ]


def test_progress_lines_are_printed_while_a_step_reports_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    printed = threading.Event()
    monkeypatch.setattr("oodguard.command_line.progress.FIRST_LINE_S", 0)
    monkeypatch.setattr("oodguard.command_line.progress.POLL_S", 0.001)
    monkeypatch.setattr("oodguard.command_line.progress.print_notice", lambda _: printed.set())
    with stages("exporting the graph"):
        assert printed.wait(60)


def test_evaluation_prints_lines_without_a_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = Clock(monkeypatch)
    bar = EvaluationBar(_console(terminal=False))
    with bar.display:
        bar.start(1000, seconds=100.0, finished=0)
        bar.stage("energy: places")
        for steps, at in ((100, 1010.0), (100, 1020.0), (300, 1070.0)):
            clock.now = at
            bar.advance(steps)
    assert capsys.readouterr().err.splitlines() == [
        "oodguard-train: energy: places: 100 of 1,000 gradient steps, about 2 minutes left",
        "oodguard-train: energy: places: 500 of 1,000 gradient steps, about 70 s left",
    ]


def test_training_prints_lines_in_long_epochs_without_a_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = Clock(monkeypatch)
    bar = ProgressBar(_console(terminal=False))
    with bar.display:
        bar.start(epochs=2, steps_per_epoch=4, done=0)
        for step, at in ((0, 1050.0), (1, 1080.0), (2, 1110.0)):
            clock.now = at
            bar.finish_step(0, StepResult(step=step, loss=1.0, accuracy=0.5))
        bar.finish_epoch(epoch(attacked_accuracy=0.625))
        clock.now = 1150.0  # 40 s after the line of the epoch
        bar.finish_step(1, StepResult(step=0, loss=1.0, accuracy=0.5))
    assert capsys.readouterr().err.splitlines() == [
        "oodguard-train: epoch 1/2: 1 of 8 steps, about 6 minutes left",
        "oodguard-train: epoch 1/2: 3 of 8 steps, about 3 minutes left",
    ]
