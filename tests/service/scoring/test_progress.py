import pytest

from oodguard.service.scoring.progress import ScoringProgress


def test_score_progress_is_shown_at_once_and_its_rate_excludes_the_start(
    capsys: pytest.CaptureFixture[str],
) -> None:
    now = 0.0
    with ScoringProgress(5000, 1000, lambda: now) as progress:
        assert capsys.readouterr().err == "scored 1,000 of 5,000 images (20.0%), starting\n"
        now = 30.0  # the start of the workers
        progress.advance(100)
        assert capsys.readouterr().err == ""
        now = 32.0
        progress.advance(900)
        line = "scored 2,000 of 5,000 images (40.0%), 450 images/s, 7 s left\n"
        assert capsys.readouterr().err == line
        now = 91.0
        progress.advance(1)
        assert capsys.readouterr().err == ""
        now = 92.0  # the next line a minute later
        progress.advance(1)
        assert capsys.readouterr().err.startswith("scored 2,002 of 5,000 images")


def test_score_progress_of_a_complete_run_is_not_shown(capsys: pytest.CaptureFixture[str]) -> None:
    with ScoringProgress(5, 5):
        pass
    assert capsys.readouterr().err == ""
