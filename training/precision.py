"""How a network is run: number format and memory layout."""

from typing import Literal

import torch
from torch import Tensor, nn


class Runner(nn.Module):
    """A network run channels-last, in bfloat16 where asked; logits always come back in float32."""

    def __init__(self, network: nn.Module, precision: Literal["bfloat16", "float32"]) -> None:
        super().__init__()
        self.network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.reduced = precision == "bfloat16"

    def forward(self, images: Tensor) -> Tensor:
        """Map images `(n, 3, H, W)` in [0, 1] to float32 logits `(n, K)`."""
        images = images.contiguous(memory_format=torch.channels_last)
        with torch.autocast(images.device.type, torch.bfloat16, enabled=self.reduced):
            logits: Tensor = self.network(images)
        return logits.float()
