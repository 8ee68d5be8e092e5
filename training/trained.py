"""A finished run as a network to evaluate or export."""

from models.networks.classifier import Classifier
from models.networks.mirrored import Mirrored
from training.checkpoint import RunFolder
from training.loop import part
from training.network import network_of
from training.weights import load_weights


def trained_network(run: RunFolder, *, classes: int) -> Classifier:
    """Return the run's averaged network, in float32 and evaluation mode, without gradients.

    Where the recipe says `mirror`, it is the mean over every image and its mirror image.

    Raises:
        RecipeError: the run has no checkpoint, or it is damaged.
        CheckpointError: it is of another network.
    """
    recipe = run.recipe
    network = network_of(recipe, classes=classes)
    progress = run.progress()
    load_weights(
        network,
        part(run.tensors(progress), "average"),
        origin=str(run.folder / progress.tensors),
    )
    if recipe.network.mirror:
        network = Mirrored(network)
    return network.eval().requires_grad_(requires_grad=False)
