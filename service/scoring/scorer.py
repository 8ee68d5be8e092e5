"""Score batches of any engine: Ray Data, Spark, datasets, or a loop."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import Any, Final, Protocol, Self, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from oodguard.models.bundle import Bundle, open_bundle
from oodguard.models.calibrated_model import CalibratedModel
from oodguard.models.decision import Policy
from oodguard.models.errors import BundleError, install_hint
from oodguard.models.manifest import Manifest
from oodguard.models.preprocessing import MAX_PIXELS
from oodguard.service.inference.providers import Device
from oodguard.service.scoring.columns import Columns, column_names, score_batch
from oodguard.service.scoring.pictures import decode_batch

PICTURE_COLUMNS: Final = ("image", "bytes", "content", "img", "picture", "item")
"""Names of the column of pictures: those of datasets, Ray Data, Spark, and others."""

BATCH_SIZE: Final = 64
"""The most images in one run of the graph."""


SINGLE: Final = (bytes, bytearray, memoryview, str, PathLike, Mapping, Image.Image)
"""The types of one picture, of which a column has several."""


class PictureBatch(Protocol):
    """A batch: a mapping of columns, a pandas DataFrame, or a batch of datasets.

    Tables and record batches of Arrow, which have no `keys`, are batches as well.
    """

    def keys(self) -> Iterable[str]:
        """Return the names of the columns."""

    def __getitem__(self, name: str, /) -> Any:  # noqa: ANN401 - an array, a list or a series
        """Return the values of a column."""


class Scorer:
    """Map a batch of pictures to a batch of verdicts, one column for each field.

    A Scorer runs on one CPU, or on a device: engines run one for each CPU. It can be sent to other
    processes and machines, which open the same bundle at the same path and verify it again; the
    session of the runtime itself is not sent.

    Args:
        bundle: The bundle folder.
        policy: The deciding score and the promises; by default those of `Guard.open`. A policy
            without a score has the default score of the bundle.
        column: The column of pictures; by default the one of `PICTURE_COLUMNS` that the batch has,
            or its only column.
        keep: Columns of the batch that are returned, too, such as a path. Their names are not those
            of the verdicts.
        device: The device of ONNX Runtime: cpu, auto, cuda or tensorrt.
        max_pixels: The most pixels of a picture.

    Raises:
        BundleError: The bundle is incomplete, altered or invalid, or lacks what a promise needs.
        CalibrationError: The bundle has too few calibration scores for the policy.
        DeviceError: The device is unknown or not available.
        ImportError: ONNX Runtime is not installed.
        ValueError: A column to keep has the name of a column of the verdicts.
    """

    def __init__(  # noqa: PLR0913 - each has a default
        self,
        bundle: str | PathLike[str],
        policy: Policy | None = None,
        *,
        column: str | None = None,
        keep: Sequence[str] = (),
        device: Device = "cpu",
        max_pixels: int = MAX_PIXELS,
    ) -> None:
        self._folder = Path(bundle)
        self._bundle: Bundle = open_bundle(self._folder)
        policy = policy or Policy()
        self._policy = replace(policy, score=policy.score or self._bundle.manifest.default_score)
        self._column = column
        self._keep = (keep,) if isinstance(keep, str) else tuple(keep)
        self._check_keep()
        self._device: Device = device
        self._max_pixels = max_pixels
        try:
            from oodguard.service.inference.session import ModelSession  # noqa: PLC0415 - an extra
        except ModuleNotFoundError as error:
            raise ImportError(
                "Scorer requires ONNX Runtime, which is not installed."
                f' {install_hint("cpu")}, or the "gpu" extra'
            ) from error
        self._session = ModelSession(
            self._bundle.model,
            self._bundle.manifest,
            device=device,
            threads=1,
            threads_per_run=1,
            max_batch=BATCH_SIZE,
        )
        self._guard = CalibratedModel(self._bundle, self._policy, self._session.run)

    @property
    def manifest(self) -> Manifest:
        """The manifest of the bundle: classes, input size, scores, training."""
        return self._bundle.manifest

    @property
    def sha256(self) -> str:
        """The sha256 of the manifest of the bundle."""
        return self._bundle.sha256

    @property
    def policy(self) -> Policy:
        """The deciding score and the promises."""
        return self._policy

    @property
    def providers(self) -> tuple[str, ...]:
        """The execution providers of ONNX Runtime that the graph runs on."""
        return self._session.providers

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the columns that are returned, in their order."""
        return (*self._keep, *column_names(self.manifest.scores))

    def __call__(self, batch: PictureBatch) -> Columns:
        """Return the verdicts on the pictures of a batch as arrays `(n,)`, in their order.

        A picture that cannot be decoded has an `error`; its label and decision are empty, its
        numbers NaN, and its class -1. `reasons` are codes separated by commas.

        Args:
            batch: Columns by name. A picture is encoded bytes, a path, a PIL image, a uint8 RGB
                array `(H, W, 3)`, a uint8 tensor of torch `(3, H, W)`, or a mapping with `bytes`
                or `path`.

        Raises:
            KeyError: The batch has no column of pictures, or not the ones to keep.
            TypeError: The batch has no columns, or is a single row.
        """
        batch = _with_keys(batch)
        column = self._column_of(batch)
        pictures = batch[column]
        if isinstance(pictures, SINGLE) or not isinstance(pictures, Iterable):
            raise TypeError(
                f"the column {column} is a {type(pictures).__name__}, expected a sequence of"
                " pictures: map batches, such as with batched=True, and not single rows"
            )
        names = list(batch.keys())
        if missing := [name for name in self._keep if name not in names]:
            raise KeyError(
                f"keep is {list(self._keep)}, expected names of the columns of the batch, {names}:"
                f" {', '.join(missing)} is missing"
            )
        kept = {name: _as_column(batch[name]) for name in self._keep}
        return {**kept, **self.score(pictures)}

    def score(self, pictures: Iterable[object], candidates_at: float | None = None) -> Columns:
        """Return the verdicts on pictures as arrays `(n,)`; see `score_batch`."""
        decoded = decode_batch(pictures, self.manifest.input, max_pixels=self._max_pixels)
        return score_batch(self._guard, decoded, candidates_at=candidates_at)

    def _check_keep(self) -> None:
        verdicts = column_names(self.manifest.scores)
        for name in self._keep:
            if name in verdicts:
                raise ValueError(
                    f"keep has {name!r}, the name of a column of the verdicts, expected another"
                    " name: rename the column of the batch"
                )

    def _column_of(self, batch: PictureBatch) -> str:
        names = list(batch.keys())
        if self._column is not None:
            found = [self._column] if self._column in names else []
        else:
            found = [name for name in PICTURE_COLUMNS if name in names]
            if not found and len(names) == 1:
                found = names
        if not found:
            expected = self._column or f"one of {', '.join(PICTURE_COLUMNS)}"
            raise KeyError(
                f"the batch has the columns {names}, expected {expected}: name the column of"
                " pictures with Scorer(..., column=...)"
            )
        return found[0]

    def __reduce__(self) -> tuple[object, ...]:
        """Return how another process opens the same bundle."""
        options = {
            "column": self._column,
            "keep": self._keep,
            "device": self._device,
            "max_pixels": self._max_pixels,
        }
        return _open_same, (str(self._folder), self._policy, options, self.sha256)

    @classmethod
    def _open(cls, folder: str, policy: Policy, options: dict[str, Any], sha256: str) -> Self:
        scorer = cls(folder, policy, **options)
        found = scorer.sha256
        if found != sha256:
            raise BundleError(
                f"{folder}: the sha256 of the bundle is {found}, expected {sha256}: the bundle of"
                " this machine is not the one that the Scorer was created with"
            )
        return scorer


def _with_keys(batch: Any) -> PictureBatch:  # noqa: ANN401 - of any engine
    """Return a batch of any kind as one with `keys`."""
    if hasattr(batch, "keys"):
        return cast("PictureBatch", batch)
    if hasattr(batch, "to_pydict"):  # Arrow, which is an extra
        return cast("PictureBatch", batch.to_pydict())
    raise TypeError(
        f"the batch is a {type(batch).__name__}, expected columns by name, such as"
        ' {"image": pictures}'
    )


def _as_column(values: Any) -> NDArray[Any]:  # noqa: ANN401 - an array, a list or a series
    """Return the values of a column to keep; lists of different lengths are objects."""
    try:
        return np.asarray(values)
    except ValueError:
        column = np.empty(len(values), object)
        column[:] = list(values)
        return column


def _open_same(folder: str, policy: Policy, options: dict[str, Any], sha256: str) -> Scorer:
    return Scorer._open(folder, policy, options, sha256)
