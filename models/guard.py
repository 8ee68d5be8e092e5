"""Images to verdicts, whichever runtime runs the graph."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from models.bundle import Bundle
from models.calibration import p_values
from models.decision import Policy, rejects, threshold
from models.errors import BundleError, UnsupportedImage
from models.manifest import Manifest

Run = Callable[[NDArray[np.uint8]], tuple[NDArray[np.float32], NDArray[np.float32]]]
"""Images `(n, H, W, 3)` uint8 RGB to logits `(n, K)` and scores `(n, S)`, higher meaning OOD."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """What is said of one image.

    `confidence` is the softmax probability of the predicted class; `p_value` and `decision` are by
    the policy's score. All `scores` of the bundle are told, by name, higher meaning more OOD.
    """

    label: str
    class_id: int
    confidence: float
    scores: Mapping[str, float]
    p_value: float
    decision: Literal["accept", "reject"]


class Guard:
    """A bundle under a policy, ready to judge.

    Raises:
        BundleError: the bundle has no such score as the policy asks for.
        CalibrationError: the bundle has too few calibration scores for the policy.
    """

    def __init__(self, bundle: Bundle, policy: Policy, run: Run) -> None:
        if policy.score not in bundle.calibration:
            raise BundleError(
                f"bundle {bundle.manifest.name} has no score {policy.score!r};"
                f" choose one of {', '.join(bundle.manifest.scores)}"
            )
        self._manifest = bundle.manifest
        self._policy = policy
        self._run = run
        self._calibration = bundle.calibration[policy.score]
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

    def judge(self, images: NDArray[np.uint8]) -> list[Verdict]:
        """Judge images `(n, H, W, 3)`, uint8 RGB of the manifest's size, in order.

        Raises:
            UnsupportedImage: the pixels have another shape or type.
            BundleError: the graph's outputs are not what the manifest says.
        """
        self._check_input(images)
        if not len(images):
            return []
        logits, scores = self._run(images)
        self._check_output(len(images), logits, scores)
        decisive = scores[:, self._manifest.scores.index(self._policy.score)]
        rows = zip(
            _softmax(logits),
            scores,
            p_values(decisive, self._calibration),
            rejects(decisive, self._threshold),
            strict=True,
        )
        return [self._verdict(*row) for row in rows]

    def _verdict(
        self,
        probabilities: NDArray[np.float64],
        scores: NDArray[np.float32],
        p_value: np.float64,
        rejected: np.bool_,
    ) -> Verdict:
        class_id = int(probabilities.argmax())
        return Verdict(
            label=self._manifest.classes[class_id],
            class_id=class_id,
            confidence=float(probabilities[class_id]),
            scores=dict(zip(self._manifest.scores, scores.tolist(), strict=True)),
            p_value=float(p_value),
            decision="reject" if rejected else "accept",
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


def _softmax(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    wide = logits.astype(np.float64)
    # An infinite logit makes the confidence NaN; the score decides, and rejects, all the same.
    with np.errstate(invalid="ignore"):
        powers = np.exp(wide - wide.max(axis=1, keepdims=True))
        return np.asarray(powers / powers.sum(axis=1, keepdims=True))
