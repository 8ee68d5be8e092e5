"""The folder of a training run: the recipe, the progress and the checkpoint.

`progress.json` is the commit point. It names its tensor file and is replaced atomically, so a
process that is killed at any moment leaves the previous checkpoint intact.
"""

import hashlib
import os
import shutil
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Self

import safetensors.torch
from pydantic import ValidationError
from safetensors import SafetensorError
from torch import Tensor

from oodguard.models.bundle import EVALUATION
from oodguard.models.errors import CheckpointError, RecipeError
from oodguard.models.frozen_model import FrozenModel
from oodguard.models.validation_errors import describe_error
from oodguard.sources.special_file import is_special
from oodguard.training.config.recipe import Recipe, parse_recipe
from oodguard.training.config.recipe_differences import describe_differences
from oodguard.training.config.recipe_sources import read_recipe_text
from oodguard.training.run_progress import RunProgress, tensors_name

RECIPE = "recipe.toml"
PROGRESS = "progress.json"
DATA = "data.json"

FILES_BEFORE_CHECKPOINT = (RECIPE, DATA, "logs", "epoch-*.safetensors", ".*.partial")
"""The files of a run that stopped before its first checkpoint."""


class RunFolder:
    """Reads and writes the folder of one run.

    `kept` are the names of files that were there before the run, which `discard` does not delete.
    """

    def __init__(self, folder: Path, kept: frozenset[str] = frozenset()) -> None:
        self.folder = folder
        self._kept = kept

    @classmethod
    def create(cls, folder: Path, recipe_text: str) -> Self:
        """Create a run folder that holds the recipe's text unchanged.

        A run without a checkpoint is replaced.

        Raises:
            RecipeError: The folder contains a run with a checkpoint or other files, or cannot be
                created.
        """
        try:
            _check_replaceable(folder, recipe_text)
            folder.mkdir(parents=True, exist_ok=True)
            kept = frozenset(path.name for path in folder.iterdir())
            if RECIPE not in kept or read_recipe_text(folder / RECIPE) != recipe_text:
                (folder / RECIPE).write_text(recipe_text, encoding="utf-8")
        except OSError as error:
            raise RecipeError(
                f"{folder}: cannot create the folder of a run: {error.strerror}. Choose another"
                " folder with --out"
            ) from error
        return cls(folder, kept)

    @classmethod
    def resume(cls, folder: Path, recipe_text: str) -> Self:
        """Return an existing run.

        Raises:
            RecipeError: The folder contains no run, or a run of another recipe; the error names
                the keys that differ.
        """
        run = cls(folder)
        recorded = run.recipe_text
        if recorded != recipe_text:
            differences = describe_differences(recipe_text, recorded, origin=f"{folder / RECIPE}")
            raise RecipeError(
                f"{folder / RECIPE} differs from the given recipe: {differences}. To resume, give"
                " the recipe unchanged; for a new run, choose another folder with --out"
            )
        return run

    @property
    def recipe_text(self) -> str:
        """The recipe's text, unchanged."""
        try:
            return read_recipe_text(self.folder / RECIPE)
        except RecipeError as error:
            raise RecipeError(f"{self.folder} is not the folder of a run: {error}") from error

    @property
    def recipe(self) -> Recipe:
        """The parsed recipe."""
        return parse_recipe(self.recipe_text, origin=str(self.folder / RECIPE))

    def progress(self) -> RunProgress:
        """Return the progress of the last checkpoint.

        Raises:
            RecipeError: There is no checkpoint, or the file is damaged.
        """
        path = self.folder / PROGRESS
        _check_file(path)
        try:
            return RunProgress.model_validate_json(path.read_bytes())
        except FileNotFoundError as error:
            raise RecipeError(f"{self.folder} has no checkpoint yet: run fit first") from error
        except ValidationError as error:
            cause = describe_error(error.errors()[0])
            raise RecipeError(f"{path} is damaged: {cause}") from error

    def tensors(self, progress: RunProgress) -> dict[str, Tensor]:
        """Load the tensor file that `progress` names.

        Raises:
            RecipeError: The file is missing or damaged.
        """
        path = self.folder / progress.tensors
        _check_file(path)
        try:
            tensors = safetensors.torch.load_file(path)
        except (OSError, SafetensorError) as error:
            raise RecipeError(f"{path} is damaged or missing: {error}") from error
        if damaged := [name for name, each in tensors.items() if not each.isfinite().all()]:
            raise RecipeError(
                f"{path}: {len(damaged):,} of {len(tensors):,} tensors contain NaN or infinity, the"
                f" first {damaged[0]}, expected finite numbers. Train a new run with a smaller"
                " schedule.peak_rate"
            )
        return tensors

    def weights_sha256(self) -> str:
        """Return the sha256 of the tensor file of the last checkpoint.

        Raises:
            RecipeError: There is no checkpoint, or the file is missing.
        """
        path = self.folder / self.progress().tensors
        try:
            with path.open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise RecipeError(f"{path} is damaged or missing: {error.strerror}") from error

    def write_data(self, card: FrozenModel) -> None:
        """Write the card of the data.

        Raises:
            CheckpointError: The file cannot be written.
        """
        _write(self.folder / DATA, (card.model_dump_json(indent=2) + "\n").encode())

    def save(self, progress: RunProgress, tensors: dict[str, Tensor]) -> None:
        """Write a checkpoint: the tensors, then the progress.

        Raises:
            CheckpointError: A file cannot be written; the previous checkpoint is intact.
        """
        copies = {key: tensor.contiguous().clone() for key, tensor in tensors.items()}
        _write(self.folder / progress.tensors, safetensors.torch.save(copies))
        self.commit(progress)

    def commit(self, progress: RunProgress) -> None:
        """Replace the progress atomically, then delete tensor files that it does not retain.

        Evaluations are deleted too, with their pages, because their results are those of other
        weights.

        Raises:
            CheckpointError: The file cannot be written; the previous checkpoint is intact.
        """
        text = progress.model_dump_json(indent=2) + "\n"
        _write(self.folder / PROGRESS, text.encode())
        rollback = None if progress.good is None else tensors_name(progress.good)
        for path in self.folder.glob("epoch-*.safetensors"):
            if path.name not in (progress.tensors, rollback):
                path.unlink()
        for path in self.folder.glob(f"{Path(EVALUATION).stem}*.json"):
            for ending in (".md", ".html"):  # the page first: without the JSON it is not found
                path.with_suffix(ending).unlink(missing_ok=True)
            path.unlink()

    def discard(self) -> None:
        """Delete the files of a new run that has no checkpoint, and its folder if it is empty."""
        if (self.folder / PROGRESS).exists():
            return
        for pattern in FILES_BEFORE_CHECKPOINT:
            for path in self.folder.glob(pattern):
                if path.name in self._kept:
                    continue
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        if not any(self.folder.iterdir()):
            self.folder.rmdir()


def check_resumable(folder: Path) -> None:
    """Check that a folder exists and, if it is that of a run, that it has a checkpoint.

    Raises:
        RecipeError: There is nothing to continue.
    """
    if not folder.exists():
        found = "does not exist"
    elif (folder / RECIPE).exists() and not (folder / PROGRESS).exists():
        found = "has no checkpoint, because no epoch was finished"
    else:
        return
    raise RecipeError(
        f"{folder} {found}: there is nothing to continue. Repeat the command without --resume"
    )


def _check_replaceable(folder: Path, recipe_text: str) -> None:
    """Check that a folder is missing or empty, or is a run without a checkpoint.

    A folder that contains a recipe alone is a run only if the recipe is the given one.
    """
    if folder.exists() and not folder.is_dir():
        raise RecipeError(
            f"{folder} is a file, expected the path of a folder: choose another one with --out"
        )
    if (folder / PROGRESS).exists():
        raise RecipeError(
            f"{folder} already contains a run: continue it with --resume, or choose another"
            " folder with --out"
        )
    if not folder.exists():
        return
    names = [path.name for path in folder.iterdir()]
    others = [
        name
        for name in names
        if not any(fnmatchcase(name, pattern) for pattern in FILES_BEFORE_CHECKPOINT)
    ]
    if names and RECIPE not in names:
        others = names
    elif names == [RECIPE] and read_recipe_text(folder / RECIPE) != recipe_text:
        others = [f"another {RECIPE}"]
    if others:
        raise RecipeError(
            f"{folder} exists and is not a run: it contains {min(others)}. It was not changed:"
            " choose another folder with --out"
        )


def _check_file(path: Path) -> None:
    if is_special(path):
        raise RecipeError(f"{path}: the path is a pipe or a device, expected a file")


def _write(path: Path, content: bytes) -> None:
    partial = path.with_name(f".{path.name}.partial")
    try:
        with partial.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)  # free the space that the incomplete file uses
        raise CheckpointError(
            f"{path}: cannot write {len(content):,} bytes: {error.strerror}. The previous"
            " checkpoint is intact: free disk space, then continue with fit --resume"
        ) from error
