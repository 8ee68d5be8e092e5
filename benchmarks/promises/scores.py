"""Scores, classes and labels of real images by a shipped bundle, clean and attacked."""

import io
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from pyarrow import parquet

from oodguard.models.bundle import Bundle, open_bundle
from oodguard.models.preprocessing import prepare
from oodguard.training.export.calibration_attack import ScoredGraph, attack_scores
from oodguard.training.onnx_torch.classifier import bundle_classifier
from oodguard.training.scoring.parity import in_batches, onnx_run

BUNDLES = Path(__file__).parents[2] / "models" / "pretrained"
BATCH_SIZE = 64
VIEWS = 8
"""Near-duplicates of each image."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class RealScores:
    """The outputs of a bundle's graph for real images, one row for each.

    Attributes:
        bundle: The bundle.
        scores: The default score `(n,)`.
        predicted: The predicted class `(n,)`.
        labels: The true class `(n,)`.
        groups: The track or the original image `(n,)` that an image belongs to, if there is one.
        attacked: The default score `(n,)` after the attack, by budget in 255ths.
    """

    bundle: Bundle
    scores: NDArray[np.float32]
    predicted: NDArray[np.int32]
    labels: NDArray[np.int32]
    groups: NDArray[np.int32] | None = None
    attacked: dict[int, NDArray[np.float32]] = field(default_factory=dict)


def all_images(data: Path) -> RealScores:
    """Return all test images of CIFAR-10 by cifar10-aloe."""
    bundle = open_bundle(BUNDLES / "cifar10-aloe")
    pixels, table = _read(data / "cifar10_test.parquet", bundle)
    return _predict(bundle, pixels, np.asarray(table["label"], np.int32))


def attacked_images(data: Path, *, images: int, budgets: Sequence[int]) -> RealScores:
    """Return test images of CIFAR-10, and their scores after the attack on cifar10-aloe."""
    bundle = open_bundle(BUNDLES / "cifar10-aloe")
    pixels, table = _read(data / "cifar10_test.parquet", bundle, limit=images)
    score = bundle.manifest.default_score
    graph = ScoredGraph(
        classifier=bundle_classifier(bundle),
        run=onnx_run(bundle.model),
        score=score,
        column=bundle.manifest.scores.index(score),
    )
    found = _predict(bundle, pixels, np.asarray(table["label"], np.int32))
    return replace(found, attacked=attack_scores(graph, torch.from_numpy(pixels), budgets=budgets))


def near_duplicates(data: Path, *, images: int) -> RealScores:
    """Return test images of CIFAR-10, each in several views: a shift, a change of brightness.

    A camera that takes a burst of an object that does not move makes such images.
    """
    bundle = open_bundle(BUNDLES / "cifar10-aloe")
    pixels, table = _read(data / "cifar10_test.parquet", bundle, limit=images)
    random = np.random.default_rng(0)
    views = []
    for image in pixels:
        padded = np.pad(image, ((1, 1), (1, 1), (0, 0)), mode="reflect")
        for _ in range(VIEWS):
            x, y = random.integers(0, 3, 2)
            moved = padded[y : y + image.shape[0], x : x + image.shape[1]].astype(np.float64)
            views.append((moved * random.uniform(0.95, 1.05)).round().clip(0, 255))
    labels = np.asarray(table["label"], np.int32).repeat(VIEWS)
    groups = np.arange(images, dtype=np.int32).repeat(VIEWS)
    return replace(_predict(bundle, np.array(views, np.uint8), labels), groups=groups)


def tracks(data: Path) -> RealScores:
    """Return the tracks of GTSRB's training set, films of one sign each, by gtsrb-standard.

    The bundle was trained on most of them, which does not matter here: the draws are from the same
    images as the calibration sets.
    """
    bundle = open_bundle(BUNDLES / "gtsrb-standard")
    pixels, table = _read(data / "gtsrb_train.parquet", bundle)
    labels = np.asarray(table["label"], np.int32)
    film = labels.astype(np.int64) * 10_000 + np.asarray(table["track"], np.int64)
    groups = np.unique(film, return_inverse=True)[1].astype(np.int32)
    return replace(_predict(bundle, pixels, labels), groups=groups)


def _read(
    path: Path, bundle: Bundle, *, limit: int | None = None
) -> tuple[NDArray[np.uint8], dict[str, list[int]]]:
    table = parquet.read_table(path)[:limit]
    spec = bundle.manifest.input
    pictures = (Image.open(io.BytesIO(each["bytes"])) for each in table["image"].to_pylist())
    pixels = np.stack([prepare(each, spec) for each in pictures])
    return pixels, {name: table[name].to_pylist() for name in table.column_names if name != "image"}


def _predict(bundle: Bundle, pixels: NDArray[np.uint8], labels: NDArray[np.int32]) -> RealScores:
    logits, scores = in_batches(onnx_run(bundle.model), pixels, BATCH_SIZE)
    return RealScores(
        bundle=bundle,
        scores=scores[:, bundle.manifest.scores.index(bundle.manifest.default_score)],
        predicted=logits.argmax(axis=1).astype(np.int32),
        labels=labels,
    )
