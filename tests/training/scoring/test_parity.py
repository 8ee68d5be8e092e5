from functools import partial

import numpy as np
import pytest
import torch

from oodguard.models.errors import ParityError
from oodguard.training.data.dataset import ImageSet
from oodguard.training.scoring.parity import calibration_scores, check_parity

IMAGES = np.arange(40 * 12, dtype=np.uint8).reshape(40, 2, 2, 3)
LIMITS = np.array([0.5, 0.5])


def _run(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return two logits and two scores of the first pixel of each image."""
    level = images[:, 0, 0, 0].astype(np.float32) / 255
    return np.stack([level, 0.25 - level], axis=1), np.stack([level, 1 - level], axis=1)


def test_parity_reports_the_largest_difference() -> None:
    def nearly(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        logits, scores = _run(images)
        return logits, scores - np.float32(2e-5)

    parity = check_parity(_run, nearly, IMAGES, LIMITS)
    assert parity.images == 40
    assert parity.largest_difference == pytest.approx(2e-5, rel=0.01)


def test_parity_rejects_a_score_that_differs_for_one_image() -> None:
    def off(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        logits, scores = _run(images)
        scores[:, 1] += np.where(images[:, 0, 0, 0] == 24, 2e-4, 0).astype(np.float32)
        return logits, scores

    with pytest.raises(ParityError, match=r"scores .* differ by 0\.0002 in batches of 1"):
        check_parity(_run, off, IMAGES, LIMITS)


def test_parity_rejects_a_class_that_differs() -> None:
    def swapped(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        logits, scores = _run(images)
        return logits[:, ::-1], scores

    with pytest.raises(ParityError, match="the class of torch and ONNX Runtime differs"):
        check_parity(_run, swapped, IMAGES, LIMITS)


def test_parity_rejects_a_decision_that_a_small_difference_changes() -> None:
    limits = np.array([np.float32(24 / 255), 2.0], dtype=np.float64)

    def nudged(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        logits, scores = _run(images)
        return logits, scores + np.float32(1e-6)

    with pytest.raises(ParityError, match=r"the decision .* differs for \d+ images"):
        check_parity(_run, nudged, IMAGES, limits)


def test_parity_compares_large_scores_relatively() -> None:
    def large(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        logits, scores = _run(images)
        return logits, scores + np.float32(1000)

    def nearly(images: np.ndarray, by: float = 0.05) -> tuple[np.ndarray, np.ndarray]:
        logits, scores = large(images)
        return logits, scores + np.float32(by)

    limits = LIMITS + 2000
    parity = check_parity(large, nearly, IMAGES, limits)
    assert parity.largest_difference == pytest.approx(0.05 / 1000, rel=0.02)
    with pytest.raises(ParityError, match=r"scores .* differ by 0\.0002"):
        check_parity(large, partial(nearly, by=0.2), IMAGES, limits)


def test_parity_detects_a_difference_in_large_batches() -> None:
    def batched(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        logits, scores = _run(images)
        return logits, scores + np.float32(1e-3 if len(images) > 7 else 0)

    with pytest.raises(ParityError, match="in batches of 64"):
        check_parity(_run, batched, IMAGES, LIMITS)


def test_parity_rejects_nan() -> None:
    def nan(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        logits, scores = _run(images)
        return logits, scores * np.float32(np.nan)

    with pytest.raises(ParityError, match=r"scores .* differ by nan"):
        check_parity(_run, nan, IMAGES, LIMITS)


def test_calibration_scores_are_computed_in_batches_and_sorted() -> None:
    levels = torch.randperm(601, generator=torch.Generator().manual_seed(0))
    images = torch.stack([levels // 256, levels % 256, levels * 0], dim=1).view(601, 1, 1, 3)
    held_out = ImageSet(
        name="held out", images=images.byte(), labels=torch.zeros(601).long(), classes=()
    )
    sizes = []

    def run(batch: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        sizes.append(len(batch))
        level = batch[:, 0, 0, 0] * 256.0 + batch[:, 0, 0, 1]
        return level, np.stack([level, -level], axis=1)

    scores = calibration_scores(run, held_out, ("up", "down"))
    assert sizes == [250, 250, 101]
    assert scores["up"].tolist() == list(range(601))
    assert scores["down"].tolist() == list(range(-600, 1))
