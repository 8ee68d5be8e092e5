"""Makes pytorch_ood.json: what pytorch-ood makes of a small seeded problem.

Run once, in an environment of its own, since pytorch-ood needs torchvision:

    pip install pytorch-ood==0.4.0 torch==2.14.1 torchvision==0.29.1 scikit-learn==1.9.1
    python tests/models/scores/golden/make.py

The problem: features tanh(x A) of images x `(n, 3, 2, 2)`, and logits W f + b of 3 classes. The
file holds the inputs as well, so that the tests do not depend on a random generator.
"""

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pytorch_ood.detector import (
    GEN,
    KNN,
    ODIN,
    RMD,
    EnergyBased,
    KLMatching,
    Mahalanobis,
    MahalanobisODIN,
    MaxLogit,
    MaxSoftmax,
    ViM,
)
from torch import Tensor

NEIGHBOUR = 5
DIMENSIONS = 2
TEMPERATURE = 2.0


def problem() -> dict[str, NDArray[Any]]:
    """Draw the inputs; six decimals are kept, so that the text is what was computed with."""
    rng = np.random.default_rng(20_261_124)
    labels = np.arange(90) % 3
    centres = rng.uniform(0.2, 0.8, (3, 12))
    images = centres[labels] + 0.15 * rng.normal(size=(90, 12))
    drawn: dict[str, NDArray[Any]] = {
        "training_images": np.clip(images, 0, 1).reshape(90, 3, 2, 2),
        "training_labels": labels,
        "images": rng.uniform(0, 1, (12, 3, 2, 2)),
        "feature_weight": rng.normal(size=(12, 5)),
        "head_weight": 3 * rng.normal(size=(3, 5)),
        "head_bias": 3 + rng.normal(size=3),
    }
    return {name: value.round(6) for name, value in drawn.items()}


def detect(given: dict[str, NDArray[Any]]) -> dict[str, Tensor]:
    """Score the images by every detector, with pytorch-ood."""
    tensors = {name: torch.from_numpy(value).float() for name, value in given.items()}
    weight, bias = tensors["head_weight"], tensors["head_bias"]

    def encode(images: Tensor) -> Tensor:
        return torch.tanh(images.flatten(1) @ tensors["feature_weight"])

    def model(images: Tensor) -> Tensor:
        return encode(images) @ weight.T + bias

    labels = torch.from_numpy(given["training_labels"])
    seen, asked = encode(tensors["training_images"]), encode(tensors["images"])
    logits = asked @ weight.T + bias
    return {
        "msp": MaxSoftmax(None).predict_logits(logits),
        "max_logit": MaxLogit(None).predict_logits(logits),
        "energy": EnergyBased(None, t=TEMPERATURE).predict_logits(logits),
        "gen": GEN(None).predict_logits(logits),
        "kl_matching": KLMatching(None)
        .fit_logits(seen @ weight.T + bias, labels)
        .predict_logits(logits),
        "mahalanobis": Mahalanobis(None).fit_features(seen, labels).predict_features(asked),
        "relative_mahalanobis": RMD(None).fit_features(seen, labels).predict_features(asked),
        "vim": ViM(None, d=DIMENSIONS, w=weight, b=bias)
        .fit_features(seen, labels)
        .predict_features(asked),
        "knn": KNN(None, k=NEIGHBOUR).fit_features(seen, labels).predict_features(asked),
        "odin": ODIN(model, eps=0.0014, temperature=1000.0).predict(tensors["images"]),
        "mahalanobis_odin": MahalanobisODIN(encode, eps=0.002)
        .fit_features(seen, labels)
        .predict(tensors["images"]),
    }


def main() -> None:
    """Write the file into the folder of this script."""
    given = problem()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = detect(given)
    scores = {name: [float(f"{v:.9g}") for v in values.tolist()] for name, values in found.items()}
    parts = {"inputs": {name: value.tolist() for name, value in given.items()}, "scores": scores}
    # One array a line: readable where it differs, and not one number a line.
    text = ",\n".join(
        f'"{part}": {{\n' + ",\n".join(f'"{k}": {json.dumps(v)}' for k, v in held.items()) + "\n}"
        for part, held in parts.items()
    )
    path = Path(__file__).with_name("pytorch_ood.json")
    path.write_text(f"{{\n{text}\n}}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
