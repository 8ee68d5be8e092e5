"""The benchmark of promises measures rates of calibration sets that are drawn from all images."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.promises.draws import class_rates, group_rate, rates, rejection_rate
from benchmarks.promises.scores import RealScores
from oodguard.models.calibration_rows import CalibrationRows
from oodguard.models.decision import Policy
from tests.conftest import rows_bundle

N = 3000


def real(folder: Path, groups: NDArray[np.int32] | None = None) -> RealScores:
    """Return images of two classes; the scores of class 1 are higher by 1."""
    random = np.random.default_rng(0)
    predicted = random.integers(0, 2, N).astype(np.int32)
    centres = random.normal(size=N) if groups is None else random.normal(size=N)[groups]
    scores = (centres + predicted + 0.01 * random.normal(size=N)).astype(np.float32)
    bundle = rows_bundle(
        folder / "tiny", CalibrationRows(scores={"msp": scores}), classes=("cat", "dog")
    )
    return RealScores(
        bundle=bundle, scores=scores, predicted=predicted, labels=predicted, groups=groups
    )


def test_promises_benchmark_draws_sets_whose_rates_average_to_alpha(tmp_path: Path) -> None:
    policy = Policy(score="msp", alpha=0.1, delta=None)
    found = rates(real(tmp_path), policy, rejection_rate, n=199, draws=100)
    # Beta(20, 180) has the standard deviation 0.021, which 100 draws divide by 10.
    assert abs(found["rejected"].mean() - 0.1) < 4 * 0.0021


def test_promises_benchmark_measures_classes_by_their_prediction(tmp_path: Path) -> None:
    images = real(tmp_path)
    common = rates(images, Policy(score="msp", alpha=0.1), class_rates, n=400, draws=20)
    own = rates(images, Policy(score="msp", alpha=0.1, by_class=True), class_rates, n=400, draws=20)
    assert common["dog"].mean() > 0.12
    assert own["dog"].mean() < 0.1


def test_promises_benchmark_draws_whole_groups(tmp_path: Path) -> None:
    groups = (np.arange(N) // 10).astype(np.int32)
    images = real(tmp_path, groups)
    policy = Policy(score="msp", alpha=0.1)
    broken = [
        (
            rates(images, policy, group_rate, n=60, draws=40, grouped=True, keep_groups=keep)[
                "rejected"
            ]
            > 0.1
        ).mean()
        for keep in (False, True)
    ]
    assert broken[1] < broken[0]
