from collections.abc import Callable

import numpy as np
import pytest
import torch

from oodguard.models.errors import ParityError
from oodguard.models.qualities import measure
from oodguard.training.data.dataset import ImageSet
from oodguard.training.scoring.parity import calibrate, check_parity

IMAGES = np.arange(40 * 12, dtype=np.uint8).reshape(40, 2, 2, 3)
LIMITS = np.array([0.5, 0.5])

Outputs = tuple[np.ndarray, np.ndarray]
RunGraph = Callable[[np.ndarray], Outputs]
Change = Callable[[np.ndarray, np.ndarray, np.ndarray], Outputs]


def _run(images: np.ndarray) -> Outputs:
    """Return two logits and two scores of the first pixel of each image."""
    level = images[:, 0, 0, 0].astype(np.float32) / 255
    return np.stack([level, 0.25 - level], axis=1), np.stack([level, 1 - level], axis=1)


def _changed(change: Change) -> RunGraph:
    return lambda images: change(images, *_run(images))


def test_parity_reports_the_largest_difference() -> None:
    nearly = _changed(lambda _, logits, scores: (logits, scores - np.float32(2e-5)))
    parity = check_parity(_run, nearly, IMAGES, LIMITS)
    assert parity.images == 40
    assert parity.largest_difference == pytest.approx(2e-5, rel=0.01)


def _raise_one(images: np.ndarray, logits: np.ndarray, scores: np.ndarray) -> Outputs:
    scores[images[:, 0, 0, 0] == 24, 1] += np.float32(2e-4)
    return logits, scores


@pytest.mark.parametrize(
    ("change", "limits", "message"),
    [
        (_raise_one, LIMITS, r"scores .* differ by 0\.0002 in batches of 1"),
        (
            lambda _, logits, scores: (logits[:, ::-1], scores),
            LIMITS,
            "the class of torch and ONNX Runtime differs",
        ),
        (
            lambda _, logits, scores: (logits, scores + np.float32(1e-6)),
            np.array([np.float32(24 / 255), 2.0], dtype=np.float64),
            r"the decision .* differs for 1 image in",
        ),
        (
            lambda images, logits, scores: (logits, scores + np.float32(1e-3 * (len(images) > 7))),
            LIMITS,
            "in batches of 64",
        ),
        (
            lambda _, logits, scores: (logits, scores * np.float32(np.nan)),
            LIMITS,
            r"scores .* differ by nan",
        ),
    ],
    ids=["one score", "class", "decision", "large batches", "nan"],
)
def test_parity_rejects_outputs_that_differ(
    change: Change, limits: np.ndarray, message: str
) -> None:
    with pytest.raises(ParityError, match=message):
        check_parity(_run, _changed(change), IMAGES, limits)


def test_parity_compares_large_scores_relatively() -> None:
    def large(by: float) -> RunGraph:
        return _changed(lambda _, logits, scores: (logits, scores + np.float32(1000 + by)))

    limits = LIMITS + 2000
    parity = check_parity(large(0), large(0.05), IMAGES, limits)
    assert parity.largest_difference == pytest.approx(0.05 / 1000, rel=0.02)
    with pytest.raises(ParityError, match=r"scores .* differ by 0\.0002"):
        check_parity(large(0), large(0.2), IMAGES, limits)


def test_calibrate_runs_batches_and_returns_scores_and_predictions() -> None:
    levels = torch.randperm(601, generator=torch.Generator().manual_seed(0))
    images = torch.stack([levels // 256, levels % 256, levels * 0], dim=1).view(601, 1, 1, 3)
    held_out = ImageSet(
        name="held out", images=images.byte(), labels=torch.zeros(601).long(), classes=()
    )
    sizes = []

    def run(batch: np.ndarray) -> Outputs:
        sizes.append(len(batch))
        level = batch[:, 0, 0, 0] * 256.0 + batch[:, 0, 0, 1]
        logits = np.stack([level < 300, level >= 300], axis=1)
        return logits, np.stack([level, -level], axis=1)

    rows = calibrate(run, held_out, ("up", "down"), ("low", "high"))
    assert sizes == [250, 250, 101]
    assert rows.scores["up"].tolist() == levels.tolist()
    assert rows.scores["down"].tolist() == (-levels).tolist()
    assert rows.predicted is not None
    assert rows.predicted.tolist() == [int(level >= 300) for level in levels.tolist()]
    assert rows.groups is None


def test_calibrate_returns_labels_only_for_the_classes_of_the_graph_in_order() -> None:
    held_out = ImageSet(
        name="held out",
        images=torch.zeros(3, 1, 1, 3, dtype=torch.uint8),
        labels=torch.tensor([1, 0, 1]),
        classes=("low", "high"),
        groups=torch.tensor([9, 4, 9]),
    )

    def run(batch: np.ndarray) -> Outputs:
        return np.zeros((len(batch), 2)), np.zeros((len(batch), 1))

    rows = calibrate(run, held_out, ("energy",), ("low", "high"))
    assert rows.labels is not None
    assert rows.labels.tolist() == [1, 0, 1]
    assert {name: column.tolist() for name, column in rows.qualities.items()} == {
        name: column.tolist() for name, column in measure(held_out.images.numpy()).items()
    }
    assert rows.groups is not None
    assert rows.groups.tolist() == [1, 0, 1]
    assert calibrate(run, held_out, ("energy",), ("high", "low")).labels is None
