"""Input pre-processing: a detector that moves every image before it scores it."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from oodguard.training.attacks.base import value_and_gradient

Detector = Callable[[Tensor], Tensor]
"""Images `(n, 3, H, W)` in [0, 1] to `(n,)`, higher meaning more OOD; differentiable."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Preprocessed:
    """s(x - step sign(grad s(x))): the score after one step towards in-distribution.

    Liang et al. 2018, arXiv:1706.02690: an in-distribution image gains more by the step than
    another. `step` is in [0, 1] pixel units; as in the paper's code, the moved image is not cut to
    [0, 1], as it is shown to the network alone.

    The derivative of a sign is zero wherever it has one, so that the step passes gradients straight
    through: the gradient handed out is that of s at the moved image, and an attack gets by. Hold
    the network still around it, with `frozen`.
    """

    score: Detector
    step: float

    def __call__(self, images: Tensor) -> Tensor:
        """Score images `(n, 3, H, W)` in [0, 1] as `(n,)`."""
        # Of rows an image knows nothing: no score here holds anything for each of them.
        _, gradient = value_and_gradient(
            lambda moved, _: self.score(moved), images, images.new_empty(0)
        )
        return self.score(images - self.step * gradient.sign())
