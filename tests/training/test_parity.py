from functools import partial

import numpy as np
import pytest

from oodguard.models.errors import ParityError
from oodguard.training.scoring.parity import check_parity

IMAGES = np.arange(40 * 12, dtype=np.uint8).reshape(40, 2, 2, 3)
LIMITS = np.array([0.5, 0.5])


def _run(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Two logits and two scores of an image's first pixel."""
    level = images[:, 0, 0, 0].astype(np.float32) / 255
    return np.stack([level, 0.25 - level], axis=1), np.stack([level, 1 - level], axis=1)


def test_equal_runs_pass_and_the_difference_is_reported() -> None:
    def nearly(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        logits, scores = _run(images)
        return logits, scores - np.float32(2e-5)

    parity = check_parity(_run, nearly, IMAGES, LIMITS)
    assert parity.images == 40
    assert parity.largest_difference == pytest.approx(2e-5, rel=0.01)


def test_a_score_that_differs_in_one_image_is_refused() -> None:
    def off(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        logits, scores = _run(images)
        scores[:, 1] += np.where(images[:, 0, 0, 0] == 24, 2e-4, 0).astype(np.float32)
        return logits, scores

    with pytest.raises(ParityError, match=r"scores differ by 0\.0002 in batches of 1"):
        check_parity(_run, off, IMAGES, LIMITS)


def test_a_class_that_differs_is_refused() -> None:
    def swapped(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        logits, scores = _run(images)
        return logits[:, ::-1], scores

    with pytest.raises(ParityError, match="the class differs"):
        check_parity(_run, swapped, IMAGES, LIMITS)


def test_a_decision_that_a_tiny_difference_turns_is_refused() -> None:
    limits = np.array([np.float32(24 / 255), 2.0], dtype=np.float64)

    def nudged(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        logits, scores = _run(images)
        return logits, scores + np.float32(1e-6)

    with pytest.raises(ParityError, match=r"the decision differs .* for \d+ images"):
        check_parity(_run, nudged, IMAGES, limits)


def test_a_large_score_may_differ_in_its_last_digits() -> None:
    def large(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        logits, scores = _run(images)
        return logits, scores + np.float32(1000)

    def nearly(images: np.ndarray, by: float = 0.05) -> tuple[np.ndarray, np.ndarray]:
        logits, scores = large(images)
        return logits, scores + np.float32(by)

    limits = LIMITS + 2000
    parity = check_parity(large, nearly, IMAGES, limits)
    assert parity.largest_difference == pytest.approx(0.05 / 1000, rel=0.02)
    with pytest.raises(ParityError, match=r"scores differ by 0\.0002"):
        check_parity(large, partial(nearly, by=0.2), IMAGES, limits)


def test_what_shows_only_in_large_batches_is_seen() -> None:
    def batched(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        logits, scores = _run(images)
        return logits, scores + np.float32(1e-3 if len(images) > 7 else 0)

    with pytest.raises(ParityError, match="in batches of 64"):
        check_parity(_run, batched, IMAGES, LIMITS)


def test_scores_that_are_not_numbers_are_refused() -> None:
    def nan(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        logits, scores = _run(images)
        return logits, scores * np.float32(np.nan)

    with pytest.raises(ParityError, match="scores differ by nan"):
        check_parity(_run, nan, IMAGES, LIMITS)
