import pytest
import torch
from torch import Tensor

from benchmarks.attacks import BASELINES, OURS, OURS_TO_THE_END, Side, read_images, rows
from benchmarks.two_logits import ACCEPTED, REJECTED, TwoLogits
from oodguard.models.scores.base import Score
from oodguard.training.attacks.objectives import acceptance_objectives, rejection_objective
from oodguard.training.scoring.graph import ScoredClassifier

THRESHOLD = 0.5
EPSILON = 0.1


class Brightness(ScoredClassifier):
    """A detector of bright images: the score is the mean of the pixels."""

    def __init__(self) -> None:
        mean: Score = lambda features, _: features[:, 0]  # noqa: E731
        super().__init__({"brightness": mean}, classes=2)

    def features_and_outputs(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        mean = pixels.mean(dim=(1, 2, 3))[:, None]
        return mean, torch.cat([mean, -mean], dim=1)


def grey(*values: float) -> Tensor:
    return torch.tensor(values).view(-1, 1, 1, 1).expand(-1, 3, 4, 4).contiguous()


def side(images: Tensor, *, label: int) -> Side:
    classifier = Brightness()
    if label == ACCEPTED:
        objective, target = rejection_objective(classifier, "brightness"), THRESHOLD
    else:
        objective, target = acceptance_objectives(classifier, "brightness")[0], -THRESHOLD
    return Side(
        name="grey",
        images=images,
        objective=objective,
        target=target,
        wrapper=TwoLogits(classifier, "brightness", threshold=THRESHOLD, scale=2.0),
        label=label,
    )


def test_two_logits_are_zero_and_the_scaled_distance_from_the_threshold() -> None:
    wrapper = TwoLogits(Brightness(), "brightness", threshold=THRESHOLD, scale=2.0)
    logits = wrapper(grey(0.25, 0.75))
    torch.testing.assert_close(logits, torch.tensor([[0.0, -0.5], [0.0, 0.5]]))
    assert logits.argmax(dim=1).tolist() == [ACCEPTED, REJECTED]


@pytest.mark.parametrize(
    ("label", "values"),
    [(ACCEPTED, (0.2, 0.35, 0.45, 0.55)), (REJECTED, (0.8, 0.65, 0.55, 0.45))],
)
def test_attack_benchmark_rows_succeed_on_every_image_within_epsilon(
    label: int, values: tuple[float, ...]
) -> None:
    # The distances to the threshold are 0.3, 0.15, 0.05 and -0.05, and epsilon is 0.1: the third
    # can be attacked, and the last is successful from the start.
    attacked = side(grey(*values), label=label)
    assert attacked.success_rate(attacked.images) == 1 / 4
    found = {name: row() for name, row in rows(attacked, epsilon=EPSILON, steps=5).items()}
    assert found.keys() == BASELINES.keys()
    rates = {name: attacked.success_rate(images) for name, images in found.items()}
    assert rates == dict.fromkeys(found, 2 / 4)
    # Images that are successful from the start are unchanged only if they may leave the batch.
    assert torch.equal(found[OURS][3], attacked.images[3])
    assert not torch.equal(found[OURS_TO_THE_END][3], attacked.images[3])


def test_attack_benchmark_reads_images_of_every_folder_and_repeats_them() -> None:
    few = read_images(("textures", "hands"), 10)
    assert few.shape == (10, 3, 32, 32)
    assert len(few.flatten(1).unique(dim=0)) == 10
    many = read_images(("hands",), 20)  # of 16 images
    assert torch.equal(many[:4], many[16:])
    assert len(many.flatten(1).unique(dim=0)) == 16
