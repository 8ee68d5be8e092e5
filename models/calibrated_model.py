"""Images to verdicts, whichever runtime runs the graph."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from oodguard.models.bundle import Bundle
from oodguard.models.calibration import p_values
from oodguard.models.decision import Policy, rejects, threshold
from oodguard.models.errors import BundleError, UnsupportedImage
from oodguard.models.manifest import Manifest
from oodguard.models.verdicts import Columns, Verdicts

RunGraph = Callable[[NDArray[np.uint8]], tuple[NDArray[np.float32], NDArray[np.float32]]]
"""Images `(n, H, W, 3)` uint8 RGB to logits `(n, K)` and scores `(n, S)`, higher meaning OOD."""


class CalibratedModel:
    """A bundle under a policy, ready to judge.

    Raises:
        BundleError: the bundle has no such score as the policy asks for.
        CalibrationError: the bundle has too few calibration scores for the policy.
    """

    def __init__(self, bundle: Bundle, policy: Policy, run: RunGraph) -> None:
        if policy.score not in bundle.calibration:
            raise BundleError(
                f"bundle {bundle.manifest.name} has no score {policy.score!r};"
                f" choose one of {', '.join(bundle.manifest.scores)}"
            )
        self._manifest = bundle.manifest
        self._policy = policy
        self._run = run
        self._calibration = bundle.calibration[policy.score]
        self._decisive = bundle.manifest.scores.index(policy.score)
        self._threshold = threshold(self._calibration, policy)

    @property
    def manifest(self) -> Manifest:
        """What the bundle says of itself."""
        return self._manifest

    @property
    def policy(self) -> Policy:
        """The policy that decides."""
        return self._policy

    @property
    def threshold(self) -> float:
        """The policy's score above which an image is rejected."""
        return self._threshold

    def predict(self, images: NDArray[np.uint8]) -> Verdicts:
        """Judge images `(n, H, W, 3)`, uint8 RGB of the manifest's size, in order.

        Raises:
            UnsupportedImage: the pixels have another shape or type.
            BundleError: the graph's outputs are not what the manifest says.
        """
        self._check_input(images)
        # Some runtimes refuse a batch of none.
        logits, scores = self._run(images) if len(images) else self._none()
        self._check_output(len(images), logits, scores)
        decisive = scores[:, self._decisive]
        class_ids, confidences = _most_likely(logits)
        columns = Columns(
            classes=self._manifest.classes,
            score_names=self._manifest.scores,
            logits=logits,
            scores=scores,
            class_ids=class_ids,
            confidences=confidences,
            p_values=p_values(decisive, self._calibration),
            rejected=rejects(decisive, self._threshold),
        )
        return Verdicts(columns, 0, len(images))

    def _none(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        return (
            np.empty((0, len(self._manifest.classes)), np.float32),
            np.empty((0, len(self._manifest.scores)), np.float32),
        )

    def _check_input(self, images: NDArray[np.uint8]) -> None:
        wanted = (self._manifest.input.height, self._manifest.input.width, 3)
        if images.dtype != np.uint8 or images.shape[1:] != wanted:
            raise UnsupportedImage(
                f"pixels came as {images.dtype} {images.shape};"
                f" wanted uint8 (n, {', '.join(map(str, wanted))})"
            )

    def _check_output(
        self, n: int, logits: NDArray[np.float32], scores: NDArray[np.float32]
    ) -> None:
        found = (logits.shape, scores.shape)
        wanted = ((n, len(self._manifest.classes)), (n, len(self._manifest.scores)))
        if found != wanted:
            raise BundleError(
                f"model.onnx gives logits and scores of shapes {found}; the manifest says {wanted};"
                " export the bundle anew"
            )


def _most_likely(logits: NDArray[np.float32]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the places `(n,)` of the largest of `(n, K)` logits, and their softmax probability."""
    class_ids = logits.argmax(axis=1)
    wide = logits.astype(np.float64)
    # An infinite logit makes the confidence NaN; the score decides, and rejects, all the same.
    with np.errstate(invalid="ignore"):
        odds = np.exp(wide - wide.max(axis=1, keepdims=True)).sum(axis=1)
        # The largest one's own power is 1.
        return class_ids.astype(np.int64, copy=False), np.asarray(1 / odds)
