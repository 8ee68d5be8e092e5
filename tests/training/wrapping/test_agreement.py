import numpy as np
import pytest
import torch

from oodguard.models.errors import ParityError
from oodguard.training.wrap.output import OutputKind, OutputScores
from oodguard.training.wrap.wrap import check_agreement

IMAGES = np.arange(10 * 3, dtype=np.uint8).reshape(10, 1, 1, 3)
RAW = np.random.default_rng(0).normal(0, 3, (10, 4)).astype(np.float32)

Answer = tuple[np.ndarray, np.ndarray]


def _answer(images: np.ndarray) -> Answer:
    rows = images[:, 0, 0, 0] // 3
    logits, scores = OutputScores(OutputKind.LOGITS)(torch.from_numpy(RAW[rows]))
    return logits.numpy().copy(), scores.numpy().copy()


def test_the_same_answers_pass() -> None:
    found = check_agreement(RAW, _answer, IMAGES, OutputKind.LOGITS)
    assert (found.images, found.largest_difference) == (10, 0)


@pytest.mark.parametrize("part", ["outputs", "scores"])
def test_one_number_that_differs_is_refused(part: str) -> None:
    def off(images: np.ndarray) -> Answer:
        logits, scores = _answer(images)
        changed = logits if part == "outputs" else scores
        changed[images[:, 0, 0, 0] == 12, -1] += np.float32(0.01)
        return logits, scores

    with pytest.raises(ParityError, match=f"the {part} of the wrapped classifier differ"):
        check_agreement(RAW, off, IMAGES, OutputKind.LOGITS)


def test_a_difference_in_large_batches_alone_is_refused() -> None:
    def off(images: np.ndarray) -> Answer:
        logits, scores = _answer(images)
        return logits * (1.1 if len(images) == 7 else 1), scores

    with pytest.raises(ParityError, match="in batches of 7"):
        check_agreement(RAW, off, IMAGES, OutputKind.LOGITS)


def test_differences_count_by_the_largest_logit() -> None:
    large = RAW * 1000

    def nearly(images: np.ndarray) -> Answer:
        logits, scores = OutputScores(OutputKind.LOGITS)(
            torch.from_numpy(large[images[:, 0, 0, 0] // 3])
        )
        return logits.numpy() + np.float32(0.05), scores.numpy()

    found = check_agreement(large, nearly, IMAGES, OutputKind.LOGITS)
    assert found.largest_difference == pytest.approx(0.05 / np.abs(large).max(), rel=0.05)


def test_not_a_number_is_refused() -> None:
    def broken(images: np.ndarray) -> Answer:
        logits, scores = _answer(images)
        return logits, scores * np.float32(np.nan)

    with pytest.raises(ParityError, match="differ from the original's by nan"):
        check_agreement(RAW, broken, IMAGES, OutputKind.LOGITS)
