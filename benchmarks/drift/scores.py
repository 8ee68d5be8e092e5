"""Compute the deciding scores of the shipped bundle on real images."""

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageEnhance, ImageFilter

from oodguard.models.bundle import Bundle
from oodguard.service.inference.model import LoadedModel, load_model
from oodguard.service.settings import Settings, default_bundle
from oodguard.sources.source import Source
from oodguard.training.data import dataset as data

Floats = NDArray[np.float64]

OUT_OF_DISTRIBUTION = (
    "cifar100_test",
    "gtsrb_test",
    "ood_places",
    "ood_textures",
    "ood_hands",
    "ood_fashion_mnist",
)
PER_SET = 1000
"""Images of each out-of-distribution set."""


def _jpeg(image: Image.Image) -> Image.Image:
    file = io.BytesIO()
    image.save(file, format="JPEG", quality=75)
    return Image.open(file)


CHANGES: Mapping[str, Callable[[Image.Image], Image.Image]] = {
    "as they are": lambda image: image,
    "JPEG, quality 75": _jpeg,
    "a tenth brighter": lambda image: ImageEnhance.Brightness(image).enhance(1.1),
    "blurred, radius 0.5": lambda image: image.filter(ImageFilter.GaussianBlur(0.5)),
}
"""Changes of an image between the camera and the service."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RealScores:
    """Deciding scores of the shipped bundle.

    Attributes:
        bundle: The bundle.
        calibration: Its calibration scores.
        changed: Scores of the test images after each of CHANGES, in order.
        outliers: Scores of the out-of-distribution images.
    """

    bundle: Bundle
    calibration: Floats
    changed: dict[str, Floats]
    outliers: Floats

    @property
    def inliers(self) -> Floats:
        """All in-distribution scores together."""
        return np.concatenate([self.calibration, self.changed["as they are"]])


def real_scores() -> RealScores:
    """Score the images of `data/`."""
    model = load_model(default_bundle(), Settings(threads=1))
    test = _images(model, "cifar10_test", None)
    changed = {name: _scores(model, _apply(change, test)) for name, change in CHANGES.items()}
    outliers = [_scores(model, _images(model, name, PER_SET)) for name in OUT_OF_DISTRIBUTION]
    return RealScores(
        bundle=model.bundle,
        calibration=model.bundle.calibration[model.guard.policy.score].astype(np.float64),
        changed=changed,
        outliers=np.concatenate(outliers),
    )


def _apply(
    change: Callable[[Image.Image], Image.Image], images: NDArray[np.uint8]
) -> NDArray[np.uint8]:
    return np.stack([np.asarray(change(Image.fromarray(each))) for each in images])


def _images(model: LoadedModel, name: str, limit: int | None) -> NDArray[np.uint8]:
    source = Source(parquet=Path("data") / f"{name}.parquet", images=limit)
    images: NDArray[np.uint8] = data.load(source, model.bundle.manifest.input).images.numpy()
    return images


def _scores(model: LoadedModel, images: NDArray[np.uint8]) -> Floats:
    column = model.bundle.manifest.scores.index(model.guard.policy.score)
    parts = np.array_split(images, -(-len(images) // 64))
    scores = [model.session.run(part)[1][:, column] for part in parts]
    return np.concatenate(scores).astype(np.float64)
