import torch
from torch import Tensor, nn

from oodguard.models.networks.classifier import Classifier
from oodguard.models.scores.base import of_logits
from oodguard.models.scores.logit_scores import energy
from oodguard.training.scoring.graph import ScoredNetwork


class MeanColour(Classifier):
    """Features are the mean red, green and blue; outputs are twice the features."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(3, 3, bias=False)
        nn.init.eye_(self.head.weight).data.mul_(2)

    def features(self, images: Tensor) -> Tensor:
        return images.mean(dim=(2, 3))


def red_feature(features: Tensor, logits: Tensor) -> Tensor:  # noqa: ARG001
    return features[:, 0]


IMAGES = torch.tensor([0, 51, 255], dtype=torch.uint8).expand(2, 4, 4, 3)
SCORES = {"energy": of_logits(energy), "red": red_feature}


def test_scored_network_returns_logits_and_one_column_per_score() -> None:
    logits, scores = ScoredNetwork(MeanColour(), SCORES, classes=3)(IMAGES)
    torch.testing.assert_close(logits, torch.tensor([[0.0, 0.4, 2.0]] * 2))
    expected = -torch.tensor([0.0, 0.4, 2.0]).exp().sum().log()
    torch.testing.assert_close(scores, torch.stack([expected, torch.tensor(0.0)]).expand(2, 2))


def test_scored_network_has_gradients_in_pixels() -> None:
    classifier = ScoredNetwork(MeanColour(), SCORES, classes=3)
    pixels = torch.full((1, 3, 4, 4), 0.5, requires_grad=True)
    (gradient,) = torch.autograd.grad(classifier.score("red", pixels).sum(), pixels)
    assert gradient[0, :, 0, 0].tolist() == [1 / 16, 0, 0]


def test_scored_network_registers_fitted_scores_as_submodules() -> None:
    class Shift(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("by", torch.tensor(3.0))

        def forward(self, features: Tensor, logits: Tensor) -> Tensor:  # noqa: ARG002
            return features[:, 0] + self.get_buffer("by")

    classifier = ScoredNetwork(MeanColour(), {"shift": Shift()}, classes=3)
    assert classifier.state_dict()["fitted.shift.by"] == 3
    assert classifier(IMAGES)[1].tolist() == [[3.0], [3.0]]
