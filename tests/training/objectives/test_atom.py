import math
from dataclasses import replace

import pytest
import torch
from torch.nn import functional

from oodguard.training.config.methods import MiningSettings
from oodguard.training.objectives.atom import Atom
from tests.training.objectives.slope import ADVERSARY, BATCH, CLEAN_INLIERS, Slope, with_reject

# A quarter of eight is learnt. The two most confident are beyond the quantile; the next two, at 0.7
# and 0.3, are z = 0.6 and -0.6.
POOL = torch.tensor([0.5, 0.95, 0.7, 0.52, 0.05, 0.48, 0.3, 0.51])
MINED = replace(BATCH, outliers=POOL.view(8, 1, 1, 1).expand(8, 3, 2, 2))


def _objective(**mining: float) -> Atom:
    settings = MiningSettings.model_validate({"pool": 4, "quantile": 0.25, **mining})
    return Atom(adversary=ADVERSARY, mining=settings, outlier_weight=0.5)


def _reject_loss(z: float) -> float:
    return math.log(math.exp(z) + math.exp(-z) + 1)


@pytest.mark.parametrize(("attacked", "moved"), [(0.5, 1), (1.0, 2)])
def test_the_asked_share_of_the_mined_is_attacked_and_all_are_learnt(
    attacked: float, moved: int
) -> None:
    network = Slope(reject_class=True)
    step = _objective(attacked=attacked)(network, MINED, torch.Generator().manual_seed(0))
    outlier_loss = (moved * _reject_loss(0.9) + (2 - moved) * _reject_loss(0.6)) / 2
    inliers = functional.cross_entropy(with_reject(CLEAN_INLIERS), BATCH.labels).item()
    assert step.loss.item() == pytest.approx(inliers + 0.5 * outlier_loss)
    torch.testing.assert_close(step.inlier_logits, CLEAN_INLIERS)
    assert network.passes == [(8, False), (moved, False), (moved, False), (4, True)]


def test_of_a_pool_smaller_than_asked_for_one_is_learnt() -> None:
    network = Slope(reject_class=True)
    batch = replace(MINED, outliers=MINED.outliers[2:4])
    _objective(attacked=1.0)(network, batch, torch.Generator().manual_seed(0))
    assert network.passes[-1] == (3, True)
