"""Wide residual networks: shallower and wider pre-activation networks.

Zagoruyko & Komodakis 2016, arXiv:1605.07146. WideResNet-40-2 is the network of outlier exposure
(arXiv:1812.04606) and much that followed: 2.2 million parameters.
"""

from oodguard.models.networks.preact_resnet import PreActResNet


class WideResNet(PreActResNet):
    """Three stages of (depth - 4) / 6 blocks, at 16, 32 and 64 channels times `factor`."""

    def __init__(self, outputs: int, *, depth: int, factor: int) -> None:
        widths = (16 * factor, 32 * factor, 64 * factor)
        super().__init__(outputs, stem=16, widths=widths, blocks=(depth - 4) // 6)
