"""A run's folder on disk: recipe, progress and the tensors to go on from.

`progress.json` is the commit point: it names the tensor file it belongs to and is replaced in one
step, so a kill at any moment leaves the previous checkpoint whole.
"""

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import safetensors.torch
from pydantic import BaseModel, ConfigDict, ValidationError
from safetensors import SafetensorError
from torch import Tensor, nn

from oodguard.models.bundle import EVALUATION
from oodguard.models.errors import CheckpointError, RecipeError
from oodguard.training.config.recipe import Recipe, parse_recipe

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


RECIPE = "recipe.toml"

PROGRESS = "progress.json"


class Epoch(BaseModel):
    """What one epoch did; accuracies are shares, `attacked` ones under attack.

    `attacked_auroc` is that of the watched score, both sides attacked; None where none is watched.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    epoch: int
    loss: float
    training_accuracy: float
    accuracy: float
    attacked_accuracy: float
    duration_s: float
    attacked_auroc: float | None = None


class RollBack(BaseModel):
    """A return to the weights after epoch `kept`, counted from 1, as robustness had collapsed.

    `reason` says which figure fell, `attack` what training attacks with from there on; `lost` are
    the epochs that do not count.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    reason: str
    kept: int
    attack: str
    lost: tuple[Epoch, ...]


class Origin(BaseModel):
    """The file whose weights a run started from, and its sha256."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    sha256: str


class Progress(BaseModel):
    """How far a run has come, and where and by which command it was made.

    `good` is the number of epochs after which robustness was last intact; their tensors are kept.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    tensors: str
    epochs: tuple[Epoch, ...]
    hardware: str
    command: str
    libraries: dict[str, str]
    training_images: int
    outlier_images: int
    good: int | None = None
    rolled_back: tuple[RollBack, ...] = ()
    started_from: Origin | None = None

    @property
    def duration_s(self) -> float:
        """Seconds of training over all sessions of the run, lost epochs included."""
        lost = [epoch for back in self.rolled_back for epoch in back.lost]
        return sum(epoch.duration_s for epoch in (*self.epochs, *lost))

    @property
    def kept_tensors(self) -> frozenset[str]:
        """The tensor files that are wanted: the latest, and that of a roll-back."""
        good = () if self.good is None else (tensors_name(self.good),)
        return frozenset((self.tensors, *good))


def tensors_name(epochs: int) -> str:
    """Return the name of the tensor file after so many epochs."""
    return f"epoch-{epochs:03d}.safetensors"


class RunFolder:
    """One run's folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @classmethod
    def create(cls, folder: Path, recipe_text: str) -> Self:
        """Make a new run folder that holds the recipe as it was given.

        A run that stopped before its first checkpoint, over its data as a rule, is begun anew.

        Raises:
            RecipeError: there is a run in this folder already.
        """
        if (folder / PROGRESS).exists():
            raise RecipeError(f"{folder} holds a run already: give --resume, or another --out")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / RECIPE).write_text(recipe_text, encoding="utf-8")
        return cls(folder)

    @classmethod
    def resume(cls, folder: Path, recipe_text: str) -> Self:
        """Return a run to go on with.

        Raises:
            RecipeError: there is no run here, or it was made by another recipe.
        """
        run = cls(folder)
        if run.recipe_text != recipe_text:
            raise RecipeError(
                f"{folder / RECIPE} differs from the given recipe: a run goes on as it began;"
                " give the recipe unchanged, or another --out"
            )
        return run

    @property
    def recipe_text(self) -> str:
        """The recipe as it was given."""
        try:
            return (self.folder / RECIPE).read_text(encoding="utf-8")
        except OSError as error:
            raise RecipeError(f"{self.folder} is no run: {RECIPE}: {error.strerror}") from error

    @property
    def recipe(self) -> Recipe:
        """The recipe, parsed."""
        return parse_recipe(self.recipe_text, origin=str(self.folder / RECIPE))

    def progress(self) -> Progress:
        """Return how far the run has come.

        Raises:
            RecipeError: no epoch has been finished, or the file was damaged.
        """
        path = self.folder / PROGRESS
        try:
            return Progress.model_validate_json(path.read_bytes())
        except FileNotFoundError as error:
            raise RecipeError(f"{self.folder} has no checkpoint yet: run fit first") from error
        except ValidationError as error:
            raise RecipeError(f"{path} is damaged: {error}") from error

    def tensors(self, progress: Progress) -> dict[str, Tensor]:
        """Load the tensors that `progress` names."""
        path = self.folder / progress.tensors
        try:
            return safetensors.torch.load_file(path)
        except (OSError, SafetensorError) as error:
            raise RecipeError(f"{path} is damaged or missing: {error}") from error

    def save(self, progress: Progress, tensors: dict[str, Tensor]) -> None:
        """Write a checkpoint: tensors, then progress.

        Raises:
            CheckpointError: the disk does not take it; the checkpoint before it is whole.
        """
        whole = {key: tensor.contiguous().clone() for key, tensor in tensors.items()}
        _write(self.folder / progress.tensors, safetensors.torch.save(whole))
        self.commit(progress)

    def commit(self, progress: Progress) -> None:
        """Write progress in one step, its tensors being there, then drop what is older.

        An evaluation goes too: its figures are those of weights that the run no longer has.

        Raises:
            CheckpointError: the disk does not take it; the checkpoint before it is whole.
        """
        text = progress.model_dump_json(indent=2) + "\n"
        _write(self.folder / PROGRESS, text.encode())
        for old in self.folder.glob("epoch-*.safetensors"):
            if old.name not in progress.kept_tensors:
                old.unlink()
        (self.folder / EVALUATION).unlink(missing_ok=True)


def _write(path: Path, content: bytes) -> None:
    partial = path.with_name(f".{path.name}.partial")
    try:
        with partial.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)  # on a full disk, half a file would stand in the way
        raise CheckpointError(
            f"{path}: {len(content):,} bytes cannot be written: {error.strerror}. The checkpoint"
            " before it is whole: make room, then go on with fit --resume"
        ) from error


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


def part(tensors: dict[str, Tensor], name: str) -> dict[str, Tensor]:
    """Return the tensors of one part of a checkpoint: network, average or momentum."""
    prefix = f"{name}."
    return {key.removeprefix(prefix): t for key, t in tensors.items() if key.startswith(prefix)}
