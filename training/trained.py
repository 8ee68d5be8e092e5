"""A finished run as a network to evaluate or export."""

from torch import nn

from models.networks import NETWORKS
from training.checkpoint import RunFolder
from training.loop import part


def trained_network(run: RunFolder, *, classes: int) -> nn.Module:
    """Return the run's averaged network, in float32 and evaluation mode, without gradients.

    Raises:
        RecipeError: the run has no checkpoint, or it is damaged.
    """
    recipe = run.recipe
    network = NETWORKS[recipe.network.name](classes, recipe.network.width)
    network.load_state_dict(part(run.tensors(run.progress()), "average"))
    return network.eval().requires_grad_(requires_grad=False)
