"""Load a network's weights from a checkpoint or a safetensors file, and explain mismatches."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import safetensors.torch
from safetensors import SafetensorError
from torch import Tensor, nn

from oodguard.models.errors import CheckpointError
from oodguard.training.run_folder import RunFolder, WeightsOrigin

MAX_NAMES = 3
"""The number of tensor names in an error; they suffice to recognize the other network."""


@dataclass(frozen=True, kw_only=True, slots=True)
class InitialWeights:
    """The weights that a run starts from, by tensor name, and the file that they were read from."""

    tensors: dict[str, Tensor]
    origin: WeightsOrigin


def read_initial_weights(path: Path) -> InitialWeights:
    """Read the averaged weights of a run's folder, or of one safetensors file.

    A file is a checkpoint of a run or the state dict of a network.

    Raises:
        RecipeError: the folder is not that of a run, or has no checkpoint.
        CheckpointError: the file cannot be read.
    """
    file = path / RunFolder(path).progress().tensors if path.is_dir() else path
    try:
        content = file.read_bytes()
        tensors = safetensors.torch.load(content)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(
            f"{file}: cannot read weights: {error}. Expected the folder of a run or a .safetensors"
            " file with the state dict of a network"
        ) from error
    name = f"{path.name}/{file.name}" if path.is_dir() else file.name
    return InitialWeights(
        tensors=checkpoint_part(tensors, "average") or tensors,
        origin=WeightsOrigin(name=name, sha256=hashlib.sha256(content).hexdigest()),
    )


def checkpoint_part(tensors: dict[str, Tensor], name: str) -> dict[str, Tensor]:
    """Return one part of a checkpoint's tensors: `network`, `average` or `momentum`."""
    prefix = f"{name}."
    return {key.removeprefix(prefix): t for key, t in tensors.items() if key.startswith(prefix)}


def load_weights(network: nn.Module, tensors: Mapping[str, Tensor], *, origin: str) -> None:
    """Load tensors into a network; errors name `origin` as their source.

    Raises:
        CheckpointError: the names or shapes differ from the network's, which does not change.
    """
    expected = network.state_dict()
    differences = {
        "missing tensors": [name for name in expected if name not in tensors],
        "unexpected tensors": [name for name in tensors if name not in expected],
        "other shapes": [
            f"{name} ({_shape(tensors[name])}, expected {_shape(expected[name])})"
            for name in expected
            if name in tensors and tensors[name].shape != expected[name].shape
        ],
    }
    found = [f"{kind}: {_shorten(names)}" for kind, names in differences.items() if names]
    if found:
        raise CheckpointError(
            f"{origin} does not fit the recipe's network. {'; '.join(found)}. Use the recipe"
            " that the weights were trained with"
        )
    network.load_state_dict(dict(tensors))


def _shorten(names: list[str]) -> str:
    more = f" and {len(names) - MAX_NAMES} more" if len(names) > MAX_NAMES else ""
    return ", ".join(names[:MAX_NAMES]) + more


def _shape(tensor: Tensor) -> str:
    return "x".join(str(size) for size in tensor.shape) or "scalar"
