"""Train a small classifier of four traffic signs, and write it as ONNX, for docs/wrap.md.

    python examples/wrap/signs_classifier.py classifier.onnx held-out

It stands for your own network: some seconds of training on 160 pictures. The other pictures are
copied to `held-out`, one sub-folder for each class. The last statement is the one that you need: it
writes any torch network as ONNX.
"""

import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import nn

SIGNS = Path(__file__).resolve().parents[2] / "tests" / "data" / "signs"
TRAINED = 40  # of each class
MEAN, STD = (0.35, 0.33, 0.35), (0.26, 0.25, 0.27)


def read(files: Sequence[Path], classes: Sequence[str]) -> tuple[torch.Tensor, torch.Tensor]:
    """Return normalized pixels `(n, 3, 32, 32)` and labels `(n,)`."""
    pixels = np.stack([np.asarray(Image.open(file), np.float32) for file in files]) / 255
    images = torch.from_numpy((pixels - MEAN) / STD).float().permute(0, 3, 1, 2)
    return images, torch.tensor([classes.index(file.parent.name) for file in files])


def train(pixels: torch.Tensor, labels: torch.Tensor) -> nn.Module:
    """Return a network that was trained on shifted images of changed brightness, with noise."""
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(3, 16, 5, stride=2),
        nn.ReLU(),
        nn.Conv2d(16, 32, 5, stride=2),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(32 * 5 * 5, 4),
    )
    optimizer = torch.optim.Adam(net.parameters(), lr=2e-3)
    for _ in range(150):
        moved = torch.roll(pixels, torch.randint(-3, 4, (2,)).tolist(), (2, 3))
        changed = moved * (0.7 + 0.6 * torch.rand(len(pixels), 1, 1, 1))
        changed += 0.15 * torch.randn(len(pixels), 3, 1, 1)
        loss = nn.functional.cross_entropy(net(changed), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return net


if __name__ == "__main__":
    # The classes are in the order of the outputs: here the sorted names of the folders.
    classes = sorted(folder.name for folder in (SIGNS / "train").iterdir())
    trained: list[Path] = []
    for name in classes:
        files = [
            file for part in ("train", "test") for file in sorted((SIGNS / part / name).iterdir())
        ]
        trained += files[:TRAINED]
        (Path(sys.argv[2]) / name).mkdir(parents=True)
        for file in files[TRAINED:]:
            shutil.copy(file, Path(sys.argv[2]) / name)
    net = train(*read(trained, classes))
    torch.onnx.export(
        net.eval(), (torch.zeros(1, 3, 32, 32),), sys.argv[1], dynamo=True, external_data=False
    )
