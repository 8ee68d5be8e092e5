"""Measure how often the reasons for rejections name the damage of an image.

    python benchmarks/reasons.py models/pretrained/cifar10-aloe \
        --calibration TRAIN.parquet --test TEST.parquet

The ranges are those of images of --calibration. The images of --test are predicted as they are and
after each damage. Prints a table: the rejected share, the share of the rejected images with the
right reason, and the share that is outside of other ranges only.
"""

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from oodguard.models.bundle import Bundle, open_bundle
from oodguard.models.calibrated_model import CalibratedModel
from oodguard.models.calibration_rows import CalibrationRows
from oodguard.models.decision import Policy
from oodguard.models.qualities import measure
from oodguard.models.reasons import ReasonCode
from oodguard.models.verdicts import Verdicts
from oodguard.sources.reader import source_at
from oodguard.training.data.dataset import load
from oodguard.training.scoring.parity import in_batches, onnx_run

Images = NDArray[np.uint8]
Damage = Callable[[Images], Images]

BATCH = 256
CALIBRATION_IMAGES = 3000
FALLBACK: frozenset[ReasonCode] = frozenset({"between_classes", "unlike_classes"})


def _levels(change: Callable[[NDArray[np.float64]], NDArray[np.float64]]) -> Damage:
    def damage(images: Images) -> Images:
        return np.rint(change(images.astype(np.float64))).clip(0, 255).astype(np.uint8)

    return damage


def _pictures(change: Callable[[Image.Image], Image.Image]) -> Damage:
    return lambda images: np.stack([np.asarray(change(Image.fromarray(i))) for i in images])


def _contrast(factor: float) -> Damage:
    def change(levels: NDArray[np.float64]) -> NDArray[np.float64]:
        mean: NDArray[np.float64] = levels.mean((1, 2, 3), keepdims=True)
        return mean + (levels - mean) * factor

    return _levels(change)


def _blur(radius: float) -> Damage:
    return _pictures(lambda image: image.filter(ImageFilter.GaussianBlur(radius)))


def _enlarged(share: float) -> Damage:
    def change(image: Image.Image) -> Image.Image:
        small = [max(1, round(side * share)) for side in image.size]
        return image.resize((small[0], small[1]), Image.Resampling.BILINEAR).resize(image.size)

    return _pictures(change)


def _brightness(factor: float) -> Damage:
    return _levels(lambda levels: levels * factor)


def _darkness(factor: float) -> Damage:
    return _levels(lambda levels: 255 - (255 - levels) * factor)


def _noise(deviation: float) -> Damage:
    random = np.random.default_rng(0)
    return _levels(lambda levels: levels + random.normal(0, deviation, levels.shape))


def _lower_part(share: float, level: int = 0) -> Damage:
    def damage(images: Images) -> Images:
        changed = images.copy()
        changed[:, round(images.shape[1] * (1 - share)) :] = level
        return changed

    return damage


def _constant(images: Images) -> Images:
    return np.broadcast_to(images.mean((1, 2), keepdims=True), images.shape).astype(np.uint8)


DAMAGES: Mapping[str, tuple[ReasonCode, Damage]] = {
    **{f"brightness x {f}": ("too_dark", _brightness(f)) for f in (0.5, 0.25, 0.1)},
    **{f"darkness x {f}": ("too_bright", _darkness(f)) for f in (0.5, 0.25, 0.1)},
    "overexposed x 4": ("too_bright", _brightness(4)),
    **{f"contrast x {f}": ("low_contrast", _contrast(f)) for f in (0.5, 0.25, 0.1)},
    **{f"Gaussian blur, {r} pixels": ("blurred", _blur(r)) for r in (0.7, 1, 2, 3)},
    **{f"enlarged from 1/{k} of the side": ("blurred", _enlarged(1 / k)) for k in (2, 4, 8)},
    **{f"Gaussian noise, {s} levels": ("noisy", _noise(s)) for s in (10, 20, 40)},
    "lower quarter black": ("blank", _lower_part(0.25)),
    "lower half black": ("blank", _lower_part(0.5)),
    "lower half grey": ("blank", _lower_part(0.5, 128)),
    "constant": ("blank", _constant),
}


def _images(path: Path, bundle: Bundle, count: int) -> Images:
    """Return about `count` images, evenly from the whole source."""
    images = load(source_at(path), bundle.manifest.input).images
    return images[:: max(1, len(images) // count)][:count].numpy()


def _calibrated(bundle: Bundle, calibration: Images) -> CalibratedModel:
    """Return a bundle whose calibration has the qualities of other images."""
    run = onnx_run(bundle.model)
    name = bundle.manifest.default_score
    rows = CalibrationRows(
        scores={name: np.zeros(len(calibration), np.float32)}, qualities=measure(calibration)
    )
    return CalibratedModel(
        replace(bundle, rows=rows),
        Policy(score=name),
        lambda images: in_batches(run, images, BATCH),
    )


def _codes(model: CalibratedModel, verdicts: Verdicts, images: Images) -> list[set[ReasonCode]]:
    """Return the codes of each rejected image."""
    reasons = model.explain(verdicts, images).reasons
    return [{reason.code for reason in each} for each in reasons.values()]


def _share(flags: Sequence[bool] | NDArray[np.bool_]) -> str:
    return f"{np.mean(flags):.1%}" if len(flags) else "-"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--calibration", type=Path, required=True)
    parser.add_argument("--test", type=Path, required=True)
    parser.add_argument("--images", type=int, default=1000, help="number of test images")
    options = parser.parse_args()
    bundle = open_bundle(options.bundle)
    model = _calibrated(bundle, _images(options.calibration, bundle, CALIBRATION_IMAGES))
    images = _images(options.test, bundle, options.images)
    clean = model.predict(images)
    everything = clean.with_decisions(np.ones(len(images), np.bool_))
    outside = np.array([bool(each - FALLBACK) for each in _codes(model, everything, images)])
    print(f"{bundle.manifest.name}, {len(images)} test images: rejected {_share(clean.rejected)};")
    print(f"outside of a range: {_share(outside)} of all, {_share(outside[clean.rejected])} of the")
    print("rejected ones\n\n| damage | rejected | named | other range only |\n|---|---|---|---|")
    for name, (expected, damage) in DAMAGES.items():
        damaged = damage(images)
        verdicts = model.predict(damaged)
        codes = _codes(model, verdicts, damaged)
        named = [expected in each for each in codes]
        other = [expected not in each and bool(each - FALLBACK) for each in codes]
        cells = f"{_share(verdicts.rejected)} | {_share(named)} | {_share(other)}"
        print(f"| {name} (`{expected}`) | {cells} |", flush=True)


if __name__ == "__main__":
    main()
