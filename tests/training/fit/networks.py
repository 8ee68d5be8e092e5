"""Networks that recipes of the tests name by import string."""

import os
import signal

from torch import Tensor, nn

from oodguard.models.networks.resnet import ResNet


class PartlyFrozen(nn.Module):
    """A network without batch-norm whose first layer is not trained."""

    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.frozen = nn.Conv2d(3, 16, 3, stride=2).requires_grad_(requires_grad=False)
        second = nn.Conv2d(16, 16, 3, stride=2)
        pool = (nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.body = nn.Sequential(nn.ReLU(), second, nn.ReLU(), *pool)
        self.head = nn.Linear(16, outputs)

    def features(self, images: Tensor) -> Tensor:
        features: Tensor = self.body(self.frozen(images))
        return features

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.head(self.features(images))
        return logits


class WithDropout(PartlyFrozen):
    """A network that draws from torch's own generator."""

    def features(self, images: Tensor) -> Tensor:
        return nn.functional.dropout(super().features(images), training=self.training)


class KilledNetwork(ResNet):
    """Kills its process in the training step number KILLED_AT, an environment variable.

    A step runs the network in training mode once; attacks and validation use evaluation mode. The
    check of a network on two images before training is no step.
    """

    calls = 0

    def __init__(self, outputs: int) -> None:
        super().__init__(1, outputs, 4)

    def forward(self, images: Tensor) -> Tensor:
        KilledNetwork.calls += self.training and len(images) > 2
        if os.environ.get("KILLED_AT") == str(KilledNetwork.calls):
            os.kill(os.getpid(), signal.SIGKILL)
        return super().forward(images)


class LostWorker(ResNet):
    """Kills the process number LOST of several in the training step number KILLED_AT, once."""

    steps = 0

    def __init__(self, outputs: int) -> None:
        super().__init__(1, outputs, 4)

    def forward(self, images: Tensor) -> Tensor:
        LostWorker.steps += self.training and len(images) > 2
        is_first_time = os.environ["TORCHELASTIC_RESTART_COUNT"] == "0"
        is_mine = is_first_time and os.environ["RANK"] == os.environ.get("LOST")
        if is_mine and os.environ.get("KILLED_AT") == str(LostWorker.steps):
            os.kill(os.getpid(), signal.SIGKILL)
        return super().forward(images)
