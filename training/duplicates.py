"""Images that are in two sets at once, found by their pixels as the network sees them."""

import hashlib
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.errors import RecipeError
from training.data import ImageSet

Fingerprints = NDArray[np.uint64]


def fingerprints(images: Tensor) -> Fingerprints:
    """Return a number `(n,)` for the pixels of each image `(n, H, W, 3)` uint8.

    Equal images have equal ones; different images differ but for one chance in 2^64 a pair.
    """
    digests = (hashlib.blake2b(image.tobytes(), digest_size=8).digest() for image in images.numpy())
    return np.frombuffer(b"".join(digests), np.uint64)


def without_inliers(outliers: ImageSet, inliers: ImageSet, warn: Callable[[str], None]) -> ImageSet:
    """Return the outliers that are no exact copy of an inlier; `warn` hears how many were.

    A network cannot learn to know and not to know the same picture.

    Raises:
        RecipeError: none is left.
    """
    same = np.isin(fingerprints(outliers.images), fingerprints(inliers.images))
    if not same.any():
        return outliers
    if same.all():
        raise RecipeError(
            f"outliers: every image of {outliers.name} is one of {inliers.name} as well; wanted"
            " images of other things"
        )
    warn(
        f"outliers: {same.sum():,} of the {len(outliers):,} images of {outliers.name} are inliers"
        f" as well ({inliers.name}, the same pixels) and are left out"
    )
    return outliers.subset(torch.from_numpy(np.flatnonzero(~same)))
