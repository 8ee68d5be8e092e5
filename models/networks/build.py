"""Build a network by its name."""

from oodguard.models.errors import RecipeError
from oodguard.models.networks import FIXED_NETWORKS, NETWORK_NAMES, NETWORKS_BY_WIDTH
from oodguard.models.networks.classifier import Classifier
from oodguard.models.networks.imported import build_imported, is_import_string


def check_name(name: str, *, width: int | None) -> None:
    """Check the name and the width of a network without building it.

    Raises:
        RecipeError: The name is unknown, the width is missing, or the network has a fixed width.
    """
    if name in NETWORKS_BY_WIDTH:
        if width is None:
            raise RecipeError(f"width: {name!r} requires a width, such as 32")
    elif name in FIXED_NETWORKS:
        if width is not None:
            raise RecipeError(f"width is {width}, but {name!r} has a fixed width: remove the key")
    elif not is_import_string(name):
        raise RecipeError(
            f"name is {name!r}, expected one of {sorted(NETWORK_NAMES)},"
            " or an import string 'package.module:factory'"
        )


def build_network(name: str, outputs: int, *, width: int | None) -> Classifier:
    """Build the network `name` with random weights and `outputs` logits.

    Raises:
        RecipeError: See `check_name` and `build_imported`.
    """
    check_name(name, width=width)
    if is_import_string(name):
        return build_imported(name, outputs, width=width)
    if width is None:
        return FIXED_NETWORKS[name](outputs)
    return NETWORKS_BY_WIDTH[name](outputs, width)
