"""Measure whether sharpness alone separates a recipe's outliers from its inliers.

    python benchmarks/sharpness.py recipes/cifar10-aloe.toml

Prints the AUROC of the mean absolute Laplacian of the grey image between the inliers and every
other set; for the auxiliary outliers with and without the recipe's random blur. 0.5 means that
sharpness does not separate the sets, so a network cannot use it as a shortcut.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from oodguard.sources.source import Source
from oodguard.training.config.recipe import read_recipe
from oodguard.training.data.augment import random_blur
from oodguard.training.data.dataset import load, to_pixels
from oodguard.training.report.metrics import auroc

IMAGES = 4000


def sharpness(pixels: Tensor) -> NDArray[np.float32]:
    """Return the mean absolute Laplacian `(n,)` of the grey images, in 255ths.

    Args:
        pixels: Images `(n, 3, H, W)` in [0, 1].
    """
    grey = 255 * pixels.mean(dim=1, keepdim=True)
    kernel = torch.tensor([[0.0, 1.0, 0.0], [1.0, -4.0, 1.0], [0.0, 1.0, 0.0]])[None, None]
    edges = torch.nn.functional.conv2d(grey, kernel).abs()
    return np.asarray(edges.mean(dim=(1, 2, 3)).numpy())


def main() -> None:
    """Print one line per set."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("recipe", type=Path)
    recipe = read_recipe(parser.parse_args().recipe)

    def pixels(source: Source) -> Tensor:
        return to_pixels(load(source, recipe.input).images[:IMAGES])

    inliers = sharpness(pixels(recipe.inliers))
    print(f"{recipe.inliers.name}: mean {inliers.mean():.1f}")
    if recipe.outliers is not None:
        images = pixels(recipe.outliers)
        generator = torch.Generator().manual_seed(recipe.seed)
        for largest in (0.0, recipe.outliers.blur):
            values = sharpness(random_blur(images, generator, largest=largest))
            name = f"{recipe.outliers.name}, random blur up to {largest:g}"
            print(f"{name}: mean {values.mean():.1f}, AUROC {auroc(inliers, values):.3f}")
    for name, source in recipe.evaluation.outliers.items():
        values = sharpness(pixels(source))
        print(f"{name}: mean {values.mean():.1f}, AUROC {auroc(inliers, values):.3f}")


if __name__ == "__main__":
    main()
