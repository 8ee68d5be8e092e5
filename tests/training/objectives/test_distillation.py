"""The teacher's term on a network and a teacher whose logits are known."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from oodguard.training.config.methods import METHODS
from oodguard.training.objectives import build_objective
from oodguard.training.objectives.distillation import Distilled, soft_cross_entropy
from oodguard.training.objectives.table import OBJECTIVE_TABLE, TableObjective
from tests.training.objectives.known_network import (
    ADVERSARY,
    ATTACKED_INLIERS,
    ATTACKED_OUTLIER,
    BATCH,
    KnownNetwork,
    with_reject,
)
from tests.training.recipes import RECIPE, parsed, without_tables

WEIGHT = 0.25
INLIER_TARGET = [0.7, 0.2, 0.1]
OUTLIER_TARGET = [0.1, 0.3, 0.6]


class KnownTeacher(nn.Module):
    """Returns the logarithm of one target for the outliers, which are 0.7, and of another else."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[Tensor] = []

    def forward(self, images: Tensor) -> Tensor:
        self.seen.append(images)
        means = images.mean(dim=(1, 2, 3)).tolist()
        rows = torch.tensor([OUTLIER_TARGET if m > 0.65 else INLIER_TARGET for m in means])
        return rows.log() + 5.0  # the softmax has no constant


def _step(share: float, teacher: nn.Module, network: nn.Module) -> Tensor:
    objective = TableObjective(
        terms=OBJECTIVE_TABLE["aloe-abstain"], adversary=ADVERSARY, outlier_weight=WEIGHT
    )
    distilled = Distilled(objective=objective, teacher=teacher, share=share, outlier_weight=WEIGHT)
    return distilled(network, BATCH, torch.Generator().manual_seed(0)).loss


def test_soft_cross_entropy_equals_torchs() -> None:
    generator = torch.Generator().manual_seed(0)
    logits, others = torch.randn(2, 5, 4, generator=generator)
    expected = F.cross_entropy(logits, others.softmax(1), reduction="none")
    torch.testing.assert_close(soft_cross_entropy(logits, others.softmax(1)), expected)


def test_distillation_mixes_the_labels_loss_with_the_teachers_on_attacked_images() -> None:
    inliers, outlier = with_reject(ATTACKED_INLIERS), with_reject(ATTACKED_OUTLIER)
    labels = F.cross_entropy(inliers, BATCH.labels)
    labels += WEIGHT * F.cross_entropy(outlier, torch.tensor([2]))
    taught = F.cross_entropy(inliers, torch.tensor([INLIER_TARGET] * 2))
    taught += WEIGHT * F.cross_entropy(outlier, torch.tensor([OUTLIER_TARGET]))
    for share in (0.25, 1.0):
        loss = _step(share, KnownTeacher(), KnownNetwork(reject_class=True))
        torch.testing.assert_close(loss, (1 - share) * labels + share * taught)


def test_distillation_shows_the_teacher_clean_images_and_attacks_without_it() -> None:
    teacher, network = KnownTeacher(), KnownNetwork(reject_class=True)
    _step(0.5, teacher, network).backward()
    (seen,) = teacher.seen
    assert torch.equal(seen, torch.cat([BATCH.inliers, BATCH.outliers]))
    assert network.passes == [(5, False), (5, False), (5, True)]
    assert network.weight.grad is not None


@pytest.mark.parametrize("method", [name for name, each in METHODS.items() if each.teacher])
def test_recipe_with_a_teacher_uses_it(method: str) -> None:
    text = RECIPE.replace('"aloe"', f'"{method}"')
    unused = [key for key in ("outliers", "attack") if not getattr(METHODS[method], key)]
    recipe = parsed(without_tables(text, *unused) + '\n[teacher]\nweights = "runs/teacher"\n')
    objective = build_objective(recipe, KnownTeacher())
    assert isinstance(objective, Distilled)
    network = KnownNetwork(reject_class=True)
    assert objective(network, BATCH, torch.Generator()).loss.isfinite()
    with pytest.raises(ValueError, match="no teacher was given"):
        build_objective(recipe)
