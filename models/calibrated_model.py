"""Compute verdicts for images with a bundle, a policy and any runtime for the graph."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from oodguard.models.bundle import Bundle
from oodguard.models.decision import Policy
from oodguard.models.errors import BundleError, UnsupportedImage
from oodguard.models.manifest import Manifest
from oodguard.models.policy_thresholds import limitations, policy_thresholds
from oodguard.models.qualities import PIXEL_QUALITIES, image_qualities, qualities
from oodguard.models.reasons import Explainer, Size
from oodguard.models.thresholds import Thresholds
from oodguard.models.verdicts import Reasons, VerdictArrays, Verdicts

RunGraph = Callable[[NDArray[np.uint8]], tuple[NDArray[np.float32], NDArray[np.float32]]]
"""Map images `(n, H, W, 3)` uint8 RGB to logits `(n, K)` and scores `(n, S)`, higher for OOD."""


class CalibratedModel:
    """A bundle under a policy: predicts classes, scores, p-values and decisions.

    Args:
        bundle: The verified bundle.
        policy: The deciding score and the promises.
        run: Runs the bundle's graph.

    Raises:
        BundleError: The bundle has no score of the policy's name, or lacks what a promise needs.
        CalibrationError: The bundle has too few calibration scores for the policy.
    """

    def __init__(self, bundle: Bundle, policy: Policy, run: RunGraph) -> None:
        self._thresholds = policy_thresholds(bundle, policy)
        self._manifest = bundle.manifest
        self._policy = policy
        self._run = run
        self._score_column = bundle.manifest.scores.index(policy.score)
        self._explainer = Explainer(bundle.rows, bundle.manifest.classes)

    @property
    def manifest(self) -> Manifest:
        """The bundle's manifest."""
        return self._manifest

    @property
    def policy(self) -> Policy:
        """The policy that decides."""
        return self._policy

    @property
    def thresholds(self) -> Thresholds:
        """The thresholds, which decide on a score and a predicted class."""
        return self._thresholds

    @property
    def threshold(self) -> float | None:
        """The value of the deciding score above which an image is rejected.

        None if it depends on the predicted class.
        """
        return self._thresholds.single

    @property
    def limitations(self) -> list[str]:
        """The parts of the policy that do not hold, in words."""
        return limitations(self._thresholds, self._manifest.classes)

    @property
    def explainer(self) -> Explainer:
        """States why images are rejected."""
        return self._explainer

    def predict(self, images: NDArray[np.uint8]) -> Verdicts:
        """Return the verdicts on images `(n, H, W, 3)`, uint8 RGB of the manifest's size.

        Raises:
            UnsupportedImage: The pixels have another shape or type.
            BundleError: The graph's outputs have other shapes than the manifest states.
        """
        self._check_input(images)
        # Some runtimes reject an empty batch.
        logits, scores = self._run(images) if len(images) else self._empty_outputs()
        self._check_output(len(images), logits, scores)
        deciding = scores[:, self._score_column]
        class_ids, confidences = _most_likely(logits)
        rejected = self._thresholds.rejects(deciding, class_ids)
        arrays = VerdictArrays(
            classes=self._manifest.classes,
            score_names=self._manifest.scores,
            logits=logits,
            scores=scores,
            class_ids=class_ids,
            confidences=confidences,
            p_values=self._thresholds.p_values(deciding, class_ids),
            rejected=rejected,
            qualities=self._qualities(images, rejected) if self._explainer.measures else None,
        )
        return Verdicts(arrays, 0, len(images))

    def explain(
        self,
        verdicts: Verdicts,
        images: NDArray[np.uint8],
        sizes: Sequence[Size | None] | None = None,
    ) -> Verdicts:
        """Return the verdicts on images `(n, H, W, 3)` with the reasons for rejections."""
        reasons = self.reasons(verdicts, images, sizes)
        return verdicts.with_reasons(reasons) if reasons else verdicts

    def reasons(
        self,
        verdicts: Verdicts,
        images: NDArray[np.uint8],
        sizes: Sequence[Size | None] | None = None,
    ) -> Reasons:
        """Return the reasons for the rejections of images `(n, H, W, 3)` by their index.

        Args:
            verdicts: The verdicts of `predict` on these images.
            images: uint8 RGB of the manifest's size.
            sizes: The size in the header of each image file; None: unknown.
        """
        reasons = {}
        for index in verdicts.rejected.nonzero()[0].tolist():
            class_id, confidence, p_value = verdicts.prediction(index)
            measured: Sequence[float] | None = verdicts.qualities(index)
            if measured is None and self._explainer.measures:
                measured = image_qualities(images[index])
            reasons[index] = self._explainer.explain(
                measured or (),
                sizes[index] if sizes else None,
                verdicts.logits(index),
                class_id=class_id,
                confidence=confidence,
                p_value=p_value,
            )
        return reasons

    def _qualities(
        self, images: NDArray[np.uint8], rejected: NDArray[np.bool_]
    ) -> NDArray[np.float32] | None:
        """Measure the rejected images of a batch together, which takes less time than one by one.

        A single one is measured when it is explained.
        """
        count = np.count_nonzero(rejected)
        if count <= 1:
            return None
        if count == len(images):
            return qualities(images)
        measured = np.full((len(images), len(PIXEL_QUALITIES)), np.nan, np.float32)
        measured[rejected] = qualities(images[rejected])
        return measured

    def _empty_outputs(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        return (
            np.empty((0, len(self._manifest.classes)), np.float32),
            np.empty((0, len(self._manifest.scores)), np.float32),
        )

    def _check_input(self, images: NDArray[np.uint8]) -> None:
        expected = (self._manifest.input.height, self._manifest.input.width, 3)
        if images.dtype != np.uint8 or images.shape[1:] != expected:
            raise UnsupportedImage(
                f"the pixels are {images.dtype} {images.shape},"
                f" expected uint8 (n, {', '.join(map(str, expected))})"
            )

    def _check_output(
        self, n: int, logits: NDArray[np.float32], scores: NDArray[np.float32]
    ) -> None:
        received = (logits.shape, scores.shape)
        expected = ((n, len(self._manifest.classes)), (n, len(self._manifest.scores)))
        if received != expected:
            raise BundleError(
                f"model.onnx returned logits and scores of shapes {received}, expected {expected}"
                " by the manifest; export the bundle again"
            )


def _most_likely(logits: NDArray[np.float32]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the index `(n,)` of the largest of `(n, K)` logits, and its softmax probability."""
    class_ids = logits.argmax(axis=1)
    wide = logits.astype(np.float64)
    # An infinite logit makes the confidence NaN; the decision by the score is still a rejection.
    with np.errstate(invalid="ignore"):
        odds = np.exp(wide - wide.max(axis=1, keepdims=True)).sum(axis=1)
        # The numerator of the largest logit is exp(0) = 1.
        return class_ids.astype(np.int64, copy=False), np.asarray(1 / odds)
