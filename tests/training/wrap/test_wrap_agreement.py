import numpy as np
import pytest
import torch

from oodguard.models.errors import ParityError
from oodguard.training.wrap.agreement import check_agreement
from oodguard.training.wrap.output import OutputKind
from oodguard.training.wrap.scores import WrappedScores

IMAGES = np.arange(10 * 3, dtype=np.uint8).reshape(10, 1, 1, 3)
SCORES = WrappedScores(OutputKind.LOGITS)
RAW = np.random.default_rng(0).normal(0, 3, (10, 4)).astype(np.float32)

Outputs = tuple[np.ndarray, np.ndarray]


def outputs_of(images: np.ndarray) -> Outputs:
    rows = images[:, 0, 0, 0] // 3
    logits, scores = SCORES(torch.from_numpy(RAW[rows]))
    return logits.numpy().copy(), scores.numpy().copy()


def test_agreement_of_equal_outputs() -> None:
    found = check_agreement(RAW, outputs_of, IMAGES, SCORES)
    assert (found.images, found.largest_difference) == (10, 0)


@pytest.mark.parametrize(
    ("part", "by", "message"),
    [
        (0, 0.01, "the outputs of the wrapped classifier differ"),
        (1, 0.01, "the scores of the wrapped classifier differ"),
        (1, np.nan, "differ from the original's by nan"),
    ],
)
def test_agreement_rejects_one_value_that_differs(part: int, by: float, message: str) -> None:
    def off(images: np.ndarray) -> Outputs:
        outputs = outputs_of(images)
        outputs[part][images[:, 0, 0, 0] == 12, -1] += np.float32(by)
        return outputs

    with pytest.raises(ParityError, match=message):
        check_agreement(RAW, off, IMAGES, SCORES)


def test_agreement_rejects_a_difference_in_large_batches() -> None:
    def off(images: np.ndarray) -> Outputs:
        logits, scores = outputs_of(images)
        return logits * (1.1 if len(images) == 7 else 1), scores

    with pytest.raises(ParityError, match="in batches of 7"):
        check_agreement(RAW, off, IMAGES, SCORES)


def test_agreement_measures_relative_to_the_largest_logit() -> None:
    large = RAW * 1000

    def nearly(images: np.ndarray) -> Outputs:
        logits, scores = SCORES(torch.from_numpy(large[images[:, 0, 0, 0] // 3]))
        return logits.numpy() + np.float32(0.05), scores.numpy()

    found = check_agreement(large, nearly, IMAGES, SCORES)
    # Scores are compared by column: the energy is about minus the largest logit of each image.
    largest_energy = np.abs(large.max(axis=1)).max()
    assert found.largest_difference == pytest.approx(0.05 / largest_energy, rel=0.05)
