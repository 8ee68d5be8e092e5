"""Divide held-out images into two halves, of which one calibrates."""

import torch
from torch import Tensor

from oodguard.models.calibration import images_required
from oodguard.models.counts import count_of
from oodguard.models.decision import Policy
from oodguard.models.errors import CalibrationError
from oodguard.training.data.dataset import ImageSet


def random_halves(images: ImageSet, *, seed: int) -> tuple[Tensor, int]:
    """Return a random order `(n,)` of the images, and how many of the first are one half of them.

    With groups that is one half of the groups: images of one group are in the same part.
    """
    generator = torch.Generator().manual_seed(seed)
    if images.groups is None:
        return torch.randperm(len(images), generator=generator), len(images) // 2
    groups = int(images.groups.max()) + 1
    ranks = torch.randperm(groups, generator=generator)[images.groups]
    return ranks.argsort(stable=True), int((ranks < groups // 2).sum())


def check_calibration_half(images: ImageSet, policy: Policy) -> None:
    """Check that half of the images, or of their groups, is enough for the threshold of the policy.

    Raises:
        CalibrationError: There are too few images for the policy.
    """
    required = images_required(policy.false_rejection_rate, policy.delta)
    if images.groups is not None:
        groups = int(images.groups.max()) + 1
        if groups // 2 < required:
            raise CalibrationError(
                f"{images.name}: half of {count_of(groups, 'group')} calibrates, {groups // 2},"
                f" expected at least {required} for alpha {policy.alpha} with delta {policy.delta}:"
                f" images of one group count as one. Give at least {2 * required} groups"
                " (--data, --group), or a larger --alpha or --delta"
            )
        return
    half = len(images) // 2
    if half < required:
        raise CalibrationError(
            f"{images.name}: half of {count_of(len(images), 'image')} calibrates, {half}, expected"
            f" at least {required} for alpha {policy.alpha} with delta {policy.delta}. Give at"
            f" least {2 * required} images (--data, --images), or a larger --alpha or --delta"
        )
