"""A start from weights that were trained before: hardening by fine-tuning."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import safetensors.torch
from safetensors import SafetensorError
from torch import Tensor

from models.errors import CheckpointError
from training.checkpoint import Origin, RunFolder
from training.loop import part


@dataclass(frozen=True, kw_only=True, slots=True)
class Start:
    """A network's tensors by their names, and where they come from."""

    tensors: dict[str, Tensor]
    origin: Origin


def read_start(place: Path) -> Start:
    """Read the averaged weights of a run's folder, or of one safetensors file.

    A file is either a run's checkpoint or the state dict of a network.

    Raises:
        RecipeError: the folder is no run, or has no checkpoint.
        CheckpointError: the file cannot be read.
    """
    path = place / RunFolder(place).progress().tensors if place.is_dir() else place
    try:
        content = path.read_bytes()
        tensors = safetensors.torch.load(content)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(
            f"{path}: cannot be read as weights: {error}; wanted a run's folder or a .safetensors"
            " file of a network's state dict"
        ) from error
    name = f"{place.name}/{path.name}" if place.is_dir() else path.name
    return Start(
        tensors=part(tensors, "average") or tensors,
        origin=Origin(name=name, sha256=hashlib.sha256(content).hexdigest()),
    )
