"""The Python API: open a bundle and get verdicts on images, without HTTP and without torch."""

from collections.abc import Iterable, Sequence
from numbers import Real
from os import PathLike
from pathlib import Path
from typing import Literal, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from oodguard.models.bundle import Bundle, open_bundle
from oodguard.models.calibrated_model import CalibratedModel, RunGraph
from oodguard.models.decision import Policy
from oodguard.models.errors import ImageError, install_hint
from oodguard.models.manifest import InputSpec, Manifest
from oodguard.models.names import text_of
from oodguard.models.preprocessing import MAX_PIXELS
from oodguard.models.reasons import Size
from oodguard.models.verdicts import Verdict, Verdicts

ImageInput: TypeAlias = str | PathLike[str] | Image.Image | NDArray[np.uint8]
"""A path of a JPEG, PNG or WebP file, a PIL image, or uint8 RGB pixels `(H, W, 3)`."""

MAX_THREADS = 1024
"""A limit above every number of CPUs: one run may use all CPUs of the process."""

BATCH_SIZE = 64
"""The most images in one run of the graph."""

_EXPECTED = "a path, a PIL image, or a uint8 RGB array"


class Guard:
    """A classifier that returns a calibrated accept or reject decision with every prediction.

    Use `Guard.open`. A guard may be used by several threads at once.
    """

    def __init__(self, bundle: Bundle, policy: Policy, run: RunGraph) -> None:
        self._model = CalibratedModel(bundle, policy, run)

    @classmethod
    def open(  # noqa: PLR0913 - each has a default
        cls,
        path: str | PathLike[str],
        *,
        score: str | None = None,
        alpha: float | None = 0.05,
        delta: float | None = 0.05,
        by_class: bool = False,
        under_attack: int | None = None,
        beta: float | None = None,
        device: Literal["auto", "cpu", "cuda", "tensorrt"] = "cpu",
    ) -> Self:
        """Open and verify a bundle folder, and load its graph into ONNX Runtime.

        Args:
            path: The bundle folder.
            score: The score that decides; by default the bundle's default score.
            alpha: The largest false-rejection rate, above 0 and below 1. With None, beta alone sets
                the threshold.
            delta: 1 - confidence in alpha over the draw of the calibration set. With None, the rate
                is at most alpha on average over such draws.
            by_class: Whether the promises hold for the images of each predicted class.
            under_attack: The budget in 255ths within which alpha also holds for images that the
                attack of the bundle has perturbed.
            beta: The largest share of in-distribution images that are accepted with a wrong class.
            device: The device of ONNX Runtime.

        Raises:
            BundleError: The bundle is incomplete, altered or invalid, has no such score, or lacks
                what a promise needs.
            CalibrationError: The bundle has too few calibration scores for the policy.
            DeviceError: The device is unknown or not available.
            ImportError: ONNX Runtime is not installed.
            TypeError: The path is not a path, or a rate is not a number.
        """
        if not isinstance(path, str | PathLike):
            raise TypeError(f"path is {path!r}, expected the path of a bundle folder")
        rates: dict[str, object] = {"alpha": alpha, "delta": delta, "beta": beta}
        for name, rate in rates.items():
            if rate is not None and not isinstance(rate, Real):
                raise TypeError(f"{name} is {rate!r}, expected a number above 0 and below 1")
        if under_attack is not None and type(under_attack) is not int:
            raise TypeError(f"under_attack is {under_attack!r}, expected a whole number or None")
        bundle = open_bundle(Path(path))
        policy = Policy(
            score=score or bundle.manifest.default_score,
            alpha=alpha,
            delta=delta,
            by_class=by_class,
            under_attack=under_attack,
            beta=beta,
        )
        try:
            from oodguard.service.inference.session import ModelSession  # noqa: PLC0415 - an extra
        except ModuleNotFoundError as error:
            raise ImportError(
                "Guard.open requires ONNX Runtime, which is not installed."
                f' {install_hint("cpu")}, or the "gpu" extra'
            ) from error
        session = ModelSession(
            bundle.model,
            bundle.manifest,
            device=device,
            threads=0,
            threads_per_run=MAX_THREADS,
            max_batch=BATCH_SIZE,
        )
        return cls(bundle, policy, session.run)

    @property
    def manifest(self) -> Manifest:
        """The manifest of the bundle: classes, input size, scores, training."""
        return self._model.manifest

    @property
    def policy(self) -> Policy:
        """The deciding score and the promises."""
        return self._model.policy

    @property
    def threshold(self) -> float | None:
        """The value of the deciding score above which an image is rejected.

        None if it depends on the predicted class.
        """
        return self._model.threshold

    @property
    def limitations(self) -> list[str]:
        """The parts of the policy that do not hold, in words; empty if it holds in full."""
        return self._model.limitations

    def __call__(self, images: ImageInput | Iterable[ImageInput]) -> list[Verdict]:
        """Return one verdict for each image, in order.

        Args:
            images: One image or several: paths, PIL images, uint8 RGB arrays `(H, W, 3)`, or one
                uint8 RGB array `(n, H, W, 3)`. Images of another size are resized by the rule of
                the bundle.

        Raises:
            ImageError: A file cannot be read.
            UndecodableImage: A file is not an image, or a file or PIL image is damaged.
            UnsupportedImage: A file of another format, or an array of another shape or type.
            ImageTooLarge: An image has more than 25 million pixels, or too long a side.
            TypeError: An object is none of these.
        """
        verdicts: list[Verdict] = []
        batch: list[tuple[NDArray[np.uint8], Size | None]] = []
        for position, image in enumerate(_listed(images)):
            batch.append(_pixels(image, self.manifest.input, position))
            if len(batch) == BATCH_SIZE:
                verdicts += self._predict(batch)
                batch.clear()
        return [*verdicts, *self._predict(batch)] if batch else verdicts

    def _predict(self, batch: Sequence[tuple[NDArray[np.uint8], Size | None]]) -> Verdicts:
        images = np.stack([pixels for pixels, _ in batch])
        verdicts = self._model.predict(images)
        return self._model.explain(verdicts, images, [size for _, size in batch])


def _listed(images: ImageInput | Iterable[ImageInput]) -> Iterable[ImageInput]:
    if isinstance(images, np.ndarray):
        return images if images.ndim == 4 else [images]
    if isinstance(images, str | PathLike | Image.Image):
        return [images]
    if type(images) in {bytes, bytearray} or not isinstance(images, Iterable):
        raise TypeError(f"images is {images!r}, expected {_EXPECTED}, or several of them")
    return images


def _pixels(
    image: ImageInput, spec: InputSpec, position: int
) -> tuple[NDArray[np.uint8], Size | None]:
    """Return the pixels `(H, W, 3)` that the model takes, and the size of the file or picture.

    Raises:
        ImageError: Of the kind that applies, with the path or the position of the image.
        TypeError: The object is not an image.
    """
    if not isinstance(image, str | PathLike | Image.Image | np.ndarray):
        raise TypeError(f"images[{position}] is {image!r}, expected {_EXPECTED}")
    from oodguard.service.scoring.pictures import pixels_of  # noqa: PLC0415 - as for HTTP

    try:
        return pixels_of(image, spec, max_pixels=MAX_PIXELS)
    except ImageError as error:
        name = text_of(image) if isinstance(image, str | PathLike) else f"images[{position}]"
        raise type(error)(f"{name}: {error}") from error
