"""How a network is run: number format and memory layout."""

from typing import Literal

import torch
from torch import Tensor, nn

# oneDNN to this day writes past its workspace in the backward pass of a strided 1x1 convolution of
# fewer channels than its block of 16, where they come last: wrong gradients, or a crash once images
# are large (https://github.com/uxlfoundation/oneDNN/issues/6035).
NARROWEST_STRIDED = 16


class Runner(nn.Module):
    """A network run in bfloat16 where asked, and channels-last where that is safe.

    Logits always come back in float32.
    """

    def __init__(self, network: nn.Module, precision: Literal["bfloat16", "float32"]) -> None:
        super().__init__()
        safe = not any(_is_narrow_and_strided(module) for module in network.modules())
        self.layout = torch.channels_last if safe else torch.contiguous_format
        self.network = network.to(memory_format=self.layout)  # type: ignore[call-overload]
        self.reduced = precision == "bfloat16"

    def forward(self, images: Tensor) -> Tensor:
        """Map images `(n, 3, H, W)` in [0, 1] to float32 logits `(n, K)`."""
        images = images.contiguous(memory_format=self.layout)
        with torch.autocast(images.device.type, torch.bfloat16, enabled=self.reduced):
            logits: Tensor = self.network(images)
        return logits.float()


def _is_narrow_and_strided(module: nn.Module) -> bool:
    return (
        isinstance(module, nn.Conv2d)
        and module.kernel_size == (1, 1)
        and module.stride != (1, 1)
        and module.in_channels < NARROWEST_STRIDED
    )
