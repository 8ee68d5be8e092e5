"""Outliers made on the fly, for those who have no second data set.

Every generator maps training inliers `(n, H, W, 3)` uint8 and a random generator to as many float32
pixels `(n, 3, H, W)` in [0, 1] that show none of the inliers' classes. Some only take the inliers'
number and size; others destroy what makes them recognisable, and so stay near in texture or colour.
"""

from collections.abc import Callable, Mapping

from torch import Generator, Tensor

from training.synthetic.coloured_noise import coloured_noise
from training.synthetic.dead_leaves import dead_leaves
from training.synthetic.distortion import distortion
from training.synthetic.julia import julia
from training.synthetic.mixture import mixture
from training.synthetic.patch_shuffle import patch_shuffle

Maker = Callable[[Tensor, Generator], Tensor]

GENERATORS: Mapping[str, Maker] = {
    "dead-leaves": dead_leaves,
    "julia": julia,
    "coloured-noise": coloured_noise,
    "patch-shuffle": patch_shuffle,
    "distortion": distortion,
    "mixture": mixture,
}
