"""An attacked image as a file could hold it: whole 255ths, still within the budget."""

import numpy as np
from numpy.typing import NDArray
from torch import Tensor


def whole_pixels(attacked: Tensor, clean: Tensor, epsilon_255: float) -> NDArray[np.uint8]:
    """Round float `(n, 3, H, W)` in [0, 1] to uint8 `(n, H, W, 3)` near uint8 `clean` of its shape.

    A value is at most the whole part of `epsilon_255` away from the clean one, so that an attack
    of less than one 255th changes nothing.
    """
    rounded = np.rint(attacked.permute(0, 2, 3, 1).numpy() * 255).astype(np.int16)
    centre, most = clean.numpy().astype(np.int16), int(epsilon_255 + 1e-6)
    near: NDArray[np.int16] = np.clip(rounded, centre - most, centre + most)
    return near.clip(0, 255).astype(np.uint8)
