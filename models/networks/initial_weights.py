"""The initial weights of the published networks."""

from torch import nn


def draw_initial_weights(network: nn.Module) -> None:
    """Draw every convolution normally with variance 2 / fan-out; set biases of linear layers to 0.

    He et al. 2015, arXiv:1502.01852, as the authors of the three published networks do. It draws
    from torch's global generator, as torch's own layers do.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        elif isinstance(module, nn.Linear):
            nn.init.zeros_(module.bias)
