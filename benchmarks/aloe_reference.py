"""The training step of the ALOE paper's own code, reimplemented literally for comparison.

One step of https://github.com/jfc43/robust-ood-detection, including its inefficiencies: crop and
mirror one image at a time, normalize one image at a time in every pass, run the clean images and
discard the result, attack inliers and outliers in separate runs, in training mode, with deltas in
whole 255ths and with gradients for the weights as well, then train on the attacked images; in
float32 with channels first. Each of these habits can be switched off to measure its cost.
"""

import random
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - the usual name

from oodguard.models.networks.classifier import Classifier, Normalize
from oodguard.training.data.dataset import to_pixels

EPSILON_255 = 1.0
STEPS = 2
OUTLIER_WEIGHT = 0.5
MEAN = torch.tensor([125.3, 123.0, 113.9]).view(3, 1, 1) / 255
STD = torch.tensor([63.0, 62.1, 66.7]).view(3, 1, 1) / 255


@dataclass(frozen=True, kw_only=True, slots=True)
class Habits:
    """The habits of the reference that `training` does not have; by default all of them."""

    image_by_image: bool = True
    normalize_one_by_one: bool = True
    clean_pass: bool = True
    separate_attacks_in_training_mode: bool = True
    channels_first: bool = True
    float32: bool = True


class NormalizeOneByOne(nn.Module):
    """Normalize the images of a batch one after the other."""

    def forward(self, images: Tensor) -> Tensor:
        """Return images `(n, 3, H, W)` in [0, 1] with about zero mean and unit variance."""
        images = images.clone()
        for index in range(len(images)):  # torch forbids writes while iterating over a tensor
            images[index] = (images[index] - MEAN) / STD
        return images


class ReferenceStep:
    """The reference's step on a network, with its optimizer and the given habits."""

    def __init__(self, network: Classifier, habits: Habits) -> None:
        self.habits = habits
        self.layout = torch.contiguous_format if habits.channels_first else torch.channels_last
        self.network = network.to(memory_format=self.layout).train()  # type: ignore[call-overload]
        if habits.normalize_one_by_one:
            _normalize_one_by_one(network)
        self.optimizer = torch.optim.SGD(
            network.parameters(), 0.1, momentum=0.9, nesterov=True, weight_decay=1e-4
        )

    def __call__(self, inliers: Tensor, labels: Tensor, outliers: Tensor) -> float:
        """Train on uint8 inliers `(n, H, W, 3)` and outliers `(m, H, W, 3)`; return the loss."""
        inside, outside = (
            self._augmented(inliers, twice=False),
            self._augmented(outliers, twice=True),
        )
        if self.habits.clean_pass:
            clean = self._logits(torch.cat([inside, outside]))
            _cross_entropy(clean[: len(inside)], labels).item()
            _confidence(clean[len(inside) :]).item()
        if self.habits.separate_attacks_in_training_mode:
            inside = self._attacked(inside, labels)
            outside = self._attacked(outside, labels[:0])
            both = torch.cat([inside, outside])
        else:
            self.network.eval().requires_grad_(requires_grad=False)
            both = self._attacked(torch.cat([inside, outside]), labels)
            self.network.train().requires_grad_(requires_grad=True)
        logits = self._logits(both)
        outlier_loss = _confidence(logits[len(inside) :])
        loss = _cross_entropy(logits[: len(inside)], labels) + OUTLIER_WEIGHT * outlier_loss
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return loss.item()

    def _augmented(self, images: Tensor, *, twice: bool) -> Tensor:
        if not self.habits.image_by_image:
            return to_pixels(images).contiguous(memory_format=self.layout)
        converted = [Image.fromarray(image.numpy()) for image in images]
        if twice:  # outliers are converted to a tensor and back before they are cropped
            converted = [_to_image(_to_tensor(image)) for image in converted]
        tensors = [_to_tensor(_cropped_and_mirrored(image)) for image in converted]
        return torch.stack(tensors).contiguous(memory_format=self.layout)

    def _logits(self, images: Tensor) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16, enabled=not self.habits.float32):
            logits: Tensor = self.network(images)
        return logits.float()

    def _attacked(self, images: Tensor, labels: Tensor) -> Tensor:
        """Attack images; the first ones have `labels`, and the others are outliers."""
        delta = nn.Parameter(torch.zeros_like(images))
        delta.data.uniform_(-1, 1).mul_(EPSILON_255)
        delta.data = _within(delta.data.int().float(), images)
        for _ in range(STEPS):
            logits = self._logits(images + delta / 255)
            inliers, outliers = logits[: len(labels)], logits[len(labels) :]
            parts = [_cross_entropy(inliers, labels)] if len(inliers) else []
            parts += [_confidence(outliers)] if len(outliers) else []
            torch.stack(parts).sum().backward()
            if delta.grad is None:
                raise RuntimeError("the network returns no gradient for its images")
            moved = (delta.data + delta.grad.sign()).int().float()
            delta.data = _within(moved.clamp(-EPSILON_255, EPSILON_255), images)
            delta.grad.zero_()
        return (images + delta.data / 255).clamp(0, 1)


def _normalize_one_by_one(network: nn.Module) -> None:
    for parent in network.modules():
        for name, child in parent.named_children():
            if isinstance(child, Normalize):
                setattr(parent, name, NormalizeOneByOne())


def _within(delta: Tensor, images: Tensor) -> Tensor:
    return ((images + delta / 255).clamp(0, 1) - images) * 255


def _cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    return F.cross_entropy(logits, labels)


def _confidence(logits: Tensor) -> Tensor:
    return -(logits.mean(1) - torch.logsumexp(logits, dim=1)).mean()


def _cropped_and_mirrored(image: Image.Image) -> Image.Image:
    width, height = image.size
    left, top = random.randint(0, 8), random.randint(0, 8)  # noqa: S311
    image = ImageOps.expand(image, 4).crop((left, top, left + width, top + height))
    if random.random() < 0.5:  # noqa: S311
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    return image


def _to_tensor(image: Image.Image) -> Tensor:
    return torch.from_numpy(np.array(image)).permute(2, 0, 1).contiguous().float().div(255)


def _to_image(tensor: Tensor) -> Image.Image:
    return Image.fromarray(tensor.mul(255).byte().permute(1, 2, 0).numpy())
