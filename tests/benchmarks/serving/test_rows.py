"""What a row derives from its rounds."""

import pytest

from benchmarks.serving.rows.hang_ups import skipped
from benchmarks.serving.rows.single import over_the_best


@pytest.mark.parametrize(("run", "expected"), [(700, 1.0), (700 + 192, 0.0), (700 + 48, 0.75)])
def test_what_was_run_for_nobody_is_what_was_run_beyond_the_answers(
    run: float, expected: float
) -> None:
    measured = {
        "images of those who hung up": 192.0,
        "images answered": 700.0,
        "images run": float(run),
    }
    assert skipped(measured) == expected


def test_the_best_is_the_fastest_of_that_round() -> None:
    measured = {"ours": 300.0, "litserve": 50.0, "bentoml": 100.0, "mlserver": 80.0, "mosec": 900.0}
    assert over_the_best(measured) == 3
