"""A network from its name: the one place where architectures are chosen."""

from oodguard.models.errors import RecipeError
from oodguard.models.networks import FIXED_NETWORKS, NETWORK_NAMES, NETWORKS_BY_WIDTH
from oodguard.models.networks.classifier import Classifier
from oodguard.models.networks.imported import build_imported, is_import_string


def check_name(name: str, *, width: int | None) -> None:
    """See that there is such a network, without building it; an import string is not followed.

    Raises:
        RecipeError: there is none of this name, or it lacks a width or has one too many.
    """
    if name in NETWORKS_BY_WIDTH:
        if width is None:
            raise RecipeError(f"width: {name!r} wants one, such as 32; none came")
    elif name in FIXED_NETWORKS:
        if width is not None:
            raise RecipeError(f"width: {name!r} fixes its own; none was wanted, came {width}")
    elif not is_import_string(name):
        raise RecipeError(
            f"name: came {name!r}, wanted one of {sorted(NETWORK_NAMES)},"
            " or an import string 'package.module:factory'"
        )


def build_network(name: str, outputs: int, *, width: int | None) -> Classifier:
    """Build the network `name` with random weights and `outputs` logits.

    Raises:
        RecipeError: as `check_name`, or as `build_imported`.
    """
    check_name(name, width=width)
    if is_import_string(name):
        return build_imported(name, outputs, width=width)
    if width is None:
        return FIXED_NETWORKS[name](outputs)
    return NETWORKS_BY_WIDTH[name](outputs, width)
