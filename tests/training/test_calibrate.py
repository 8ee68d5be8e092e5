import numpy as np
import torch

from oodguard.training.data.dataset import ImageSet
from oodguard.training.scoring.parity import calibration_scores


def test_every_held_out_image_is_scored_once_in_batches_and_sorted() -> None:
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
