"""Read the tensors of a checkpoint without running any code in it."""

import pickle
from collections.abc import Mapping
from pathlib import Path

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from oodguard.models.errors import CheckpointError

PARTS = ("state_dict", "model_state_dict", "model", "net")
"""The usual keys of the weights in a file of torch.save."""

PREFIXES = ("module.", "model.", "_orig_mod.")
"""Prefixes of all names: of DataParallel, of a network in another one, of torch.compile."""


def read_tensors(path: Path, *, part: str | None = None) -> dict[str, Tensor]:
    """Return the tensors of a safetensors file or of a file of `torch.save`, by name.

    A file of `torch.save` is read with `weights_only=True`, which builds tensors and nothing else.
    `part` is the key of the weights in a file that has several; the usual keys are found. Prefixes
    that all names have are removed.

    Raises:
        CheckpointError: The file cannot be read in this way, or has no tensors.
    """
    try:
        if path.suffix == ".safetensors":
            found: object = safetensors.torch.load_file(path)
        else:
            found = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, SafetensorError, pickle.UnpicklingError, EOFError) as error:
        first_line = str(error).partition("\n")[0] or "the file is empty or ends early"
        raise CheckpointError(
            f"{path}: cannot read weights: {first_line}. Expected a .safetensors"
            " file, or a file of torch.save with tensors alone"
        ) from error
    tensors = _weights(found, part, path)
    while prefix := next((p for p in PREFIXES if all(n.startswith(p) for n in tensors)), None):
        tensors = {name.removeprefix(prefix): tensor for name, tensor in tensors.items()}
    return tensors


def _weights(found: object, part: str | None, path: Path) -> dict[str, Tensor]:
    keys = [part] if part else [key for key in PARTS if isinstance(found, Mapping) and key in found]
    for key in keys:
        if not isinstance(found, Mapping) or key not in found:
            raise CheckpointError(f"{path}: part is {key!r}, expected one of {_names(found)}")
        found = found[key]
    if isinstance(found, Mapping):
        tensors = {str(name): value for name, value in found.items() if isinstance(value, Tensor)}
        if tensors:
            return tensors
    raise CheckpointError(
        f"{path}: received {_names(found)}, expected tensors by name. Select them with part"
    )


def _names(found: object) -> str:
    return ", ".join(map(repr, found)) if isinstance(found, Mapping) else type(found).__name__
