"""Real scores of the shipped bundle, for the benchmark of drift detection."""

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
from oodguard.training.config.sources import Source
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
EACH = 1000
"""How many images of each out-of-distribution set."""


def _jpeg(picture: Image.Image) -> Image.Image:
    file = io.BytesIO()
    picture.save(file, format="JPEG", quality=75)
    return Image.open(file)


CHANGES: Mapping[str, Callable[[Image.Image], Image.Image]] = {
    "as they are": lambda picture: picture,
    "JPEG, quality 75": _jpeg,
    "a tenth brighter": lambda picture: ImageEnhance.Brightness(picture).enhance(1.1),
    "blurred, radius 0.5": lambda picture: picture.filter(ImageFilter.GaussianBlur(0.5)),
}
"""What may have happened to a picture between the camera and the service."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RealScores:
    """What decides in the shipped bundle, on real images.

    `calibration` is the bundle's; `changed` the test images after each of CHANGES, in their order.
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
    """Judge the images of `data/` once."""
    served = load_model(default_bundle(), Settings(threads=1))
    test = _images(served, "cifar10_test", None)
    changed = {name: _judge(served, _each(change, test)) for name, change in CHANGES.items()}
    outliers = [_judge(served, _images(served, name, EACH)) for name in OUT_OF_DISTRIBUTION]
    return RealScores(
        bundle=served.bundle,
        calibration=served.bundle.calibration[served.guard.policy.score].astype(np.float64),
        changed=changed,
        outliers=np.concatenate(outliers),
    )


def _each(
    change: Callable[[Image.Image], Image.Image], images: NDArray[np.uint8]
) -> NDArray[np.uint8]:
    return np.stack([np.asarray(change(Image.fromarray(each))) for each in images])


def _images(served: LoadedModel, name: str, most: int | None) -> NDArray[np.uint8]:
    source = Source(parquet=Path("data") / f"{name}.parquet", images=most)
    images: NDArray[np.uint8] = data.load(source, served.bundle.manifest.input).images.numpy()
    return images


def _judge(served: LoadedModel, images: NDArray[np.uint8]) -> Floats:
    column = served.bundle.manifest.scores.index(served.guard.policy.score)
    parts = np.array_split(images, -(-len(images) // 64))
    scores = [served.engine.run(part)[1][:, column] for part in parts]
    return np.concatenate(scores).astype(np.float64)
