"""Can sharpness alone tell a recipe's outliers from its inliers?

    python benchmarks/sharpness.py recipes/cifar10-aloe.toml

Prints the AUROC of one number, the mean absolute Laplacian of the grey image, between the inliers
and every other set, and for the auxiliary outliers with and without the recipe's random blur. 0.5
means that sharpness tells nothing; a network cannot learn a shortcut that is not there.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from oodguard.training.config.recipe import read_recipe
from oodguard.training.config.sources import Source
from oodguard.training.data.augment import random_blur
from oodguard.training.data.dataset import load, to_pixels
from oodguard.training.report.metrics import auroc

IMAGES = 4000


def sharpness(pixels: Tensor) -> NDArray[np.float32]:
    """Mean absolute Laplacian `(n,)` of the grey of `(n, 3, H, W)` in [0, 1], in 255ths."""
    grey = 255 * pixels.mean(dim=1, keepdim=True)
    kernel = torch.tensor([[0.0, 1.0, 0.0], [1.0, -4.0, 1.0], [0.0, 1.0, 0.0]])[None, None]
    edges = torch.nn.functional.conv2d(grey, kernel).abs()
    return np.asarray(edges.mean(dim=(1, 2, 3)).numpy())


def main() -> None:
    """Print one line a set."""
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
            found = sharpness(random_blur(images, generator, largest=largest))
            name = f"{recipe.outliers.name}, random blur up to {largest:g}"
            print(f"{name}: mean {found.mean():.1f}, AUROC {auroc(inliers, found):.3f}")
    for name, source in recipe.evaluation.outliers.items():
        found = sharpness(pixels(source))
        print(f"{name}: mean {found.mean():.1f}, AUROC {auroc(inliers, found):.3f}")


if __name__ == "__main__":
    main()
