"""Tensors from a file into a network, or an error that says how the two differ."""

from collections.abc import Mapping

from torch import Tensor, nn

from models.errors import CheckpointError

FEW = 3
"""So many tensors are named: which network it was can be told from them."""


def load_weights(network: nn.Module, tensors: Mapping[str, Tensor], *, origin: str) -> None:
    """Give a network the tensors that another of its kind had.

    Raises:
        CheckpointError: they are those of another network.
    """
    wanted = network.state_dict()
    missing = [name for name in wanted if name not in tensors]
    strange = [name for name in tensors if name not in wanted]
    reshaped = [
        f"{name} {_shape(tensors[name])} where {_shape(wanted[name])} was wanted"
        for name in wanted
        if name in tensors and tensors[name].shape != wanted[name].shape
    ]
    differences = [
        f"{what} {_list(names)}"
        for what, names in (("lacks", missing), ("has beside", strange), ("has", reshaped))
        if names
    ]
    if differences:
        raise CheckpointError(
            f"{origin} is of another network than the recipe's: it {'; it '.join(differences)}."
            " Use the recipe that it was trained by"
        )
    network.load_state_dict(dict(tensors))


def _list(names: list[str]) -> str:
    more = f" and {len(names) - FEW} more" if len(names) > FEW else ""
    return ", ".join(names[:FEW]) + more


def _shape(tensor: Tensor) -> str:
    return "x".join(str(size) for size in tensor.shape) or "a single number"
