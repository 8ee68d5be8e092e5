import pytest
from rich.console import Console

from oodguard.training.cli.progress import TIMED_STEPS, EvaluationBar, ProgressBar
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
    text = "about 5 minutes for each of 2 epochs, in addition to validation."
    assert (text in console.export_text()) == (not terminal)


def test_evaluation_bar_shows_no_time_left_at_the_end() -> None:
    console = _console(terminal=True)
    bar = EvaluationBar(console)
    with bar.display:
        bar.start(2, seconds=100.0, finished=3)
        bar.advance(2)
    *lines, last = console.export_text().splitlines()
    text = "\n".join(lines)
    assert "Continuing an interrupted evaluation: 3 parts are finished.\n" in text
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
