"""The float32 graph and the INT8 graph compared on the same images."""

import numpy as np
import pytest

from oodguard.models.errors import ParityError
from oodguard.training.quantize.comparison import Comparison, check_comparison, compare


def test_comparison_counts_flips_at_each_graphs_own_threshold() -> None:
    images = np.zeros((4, 1, 1, 3), np.uint8)
    cat, dog = [1, 0], [0, 1]
    old = np.array([cat, cat, dog, dog], np.float32), np.array([[1], [2], [3], [4]], np.float32)
    new = np.array([cat, dog, dog, dog], np.float32), np.array([[1], [2], [5], [4]], np.float32)
    # Above 2.5: images 2 and 3. Above 4.5: image 2.
    found = compare(lambda _: old, lambda _: new, images, column=0, thresholds=(2.5, 4.5))
    assert found == Comparison(
        images=4, class_flips=0.25, decision_flips=0.25, largest_difference=2.0
    )


@pytest.mark.parametrize(
    ("classes", "decisions", "what"),
    [(0.0301, 0.0, "predicted class"), (0.0, 0.0101, "decision"), (float("nan"), 0.0, "class")],
)
def test_comparison_refuses_too_many_flips(classes: float, decisions: float, what: str) -> None:
    comparison = Comparison(
        images=1000, class_flips=classes, decision_flips=decisions, largest_difference=0.1
    )
    with pytest.raises(ParityError, match=what):
        check_comparison(comparison)


def test_comparison_accepts_the_limits() -> None:
    check_comparison(
        Comparison(images=1000, class_flips=0.03, decision_flips=0.01, largest_difference=9.0)
    )
