"""The problem that pytorch_ood.json was made on, as torch holds it."""

import json
from pathlib import Path

import torch
from torch import Tensor

from oodguard.models.networks.classifier import Classifier
from tests.models.scores.fits import head

_HELD = json.loads(Path(__file__).with_name("pytorch_ood.json").read_text(encoding="utf-8"))
INPUTS = {name: torch.tensor(value) for name, value in _HELD["inputs"].items()}
GOLDEN = {name: torch.tensor(value) for name, value in _HELD["scores"].items()}


class Problem(Classifier):
    """Features tanh(x A) and a linear head, as in make.py."""

    def __init__(self) -> None:
        super().__init__()
        self.head = head(INPUTS["head_weight"], INPUTS["head_bias"]).requires_grad_(False)

    def features(self, images: Tensor) -> Tensor:
        return torch.tanh(images.flatten(1) @ INPUTS["feature_weight"])
