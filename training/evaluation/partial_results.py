"""The finished parts of an evaluation on disk, so that an interrupted one continues.

A part is the result of one batch, with the state of its random generator, or one figure of an
attack trial. The parts of other weights, images or settings have another key and are deleted.
"""

import fcntl
import hashlib
import json
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from oodguard.models.errors import RecipeError
from oodguard.training.evaluation.results import AttackResult, Predictions
from oodguard.training.report.evidence import FalseAccept

KEY = "key.txt"


class PartialResults:
    """A folder with the parts of one evaluation; None keeps nothing.

    `found` is the number of parts of an interrupted evaluation, `restored` counts those that were
    read, and `earlier_s` is the time in seconds that they took.
    """

    def __init__(self, folder: Path | None, key: str) -> None:
        self._folder = folder
        self.found = self.restored = 0
        self.earlier_s = 0.0
        if folder is None:
            return
        path = folder / KEY
        if not path.is_file() or path.read_text(encoding="utf-8") != key:
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            path.write_text(key, encoding="utf-8")
        self.found = len(list(folder.glob("*.safetensors")))

    def batch(
        self, name: str, generator: torch.Generator, measure: Callable[[], list[AttackResult]]
    ) -> list[AttackResult]:
        """Return the results of a batch, measured now or before.

        The generator is then in the state after the batch.
        """
        found = self._read(name)
        if found is not None:
            tensors, texts = found
            generator.set_state(tensors["generator"])
            return [_decode(tensors, text, index) for index, text in enumerate(texts["results"])]
        started = time.perf_counter()
        results = measure()
        tensors = {"generator": generator.get_state()}
        texts = {"results": [_encode(tensors, each, index) for index, each in enumerate(results)]}
        self._write(name, tensors, texts, started)
        return results

    def figure(self, name: str, measure: Callable[[], float]) -> float:
        """Return one figure, measured now or before."""
        found = self._read(name)
        if found is not None:
            return float(found[0]["figure"])
        started = time.perf_counter()
        value = measure()
        self._write(name, {"figure": torch.tensor(value, dtype=torch.float64)}, {}, started)
        return value

    def delete(self) -> None:
        """Delete all parts: the evaluation is finished."""
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _read(self, name: str) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
        path = self._path(name)
        if path is None or not path.is_file():
            return None
        try:
            with safetensors.safe_open(path, framework="pt") as file:
                tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
                texts = json.loads((file.metadata() or {})["texts"])
        except (OSError, SafetensorError, ValueError, KeyError):
            return None  # an incomplete part is measured again
        self.restored += 1
        self.earlier_s += texts["duration_s"]
        return tensors, texts

    def _write(
        self, name: str, tensors: dict[str, Tensor], texts: dict[str, Any], started: float
    ) -> None:
        path = self._path(name)
        if path is None:
            return
        texts |= {"duration_s": time.perf_counter() - started}
        content = safetensors.torch.save(tensors, {"texts": json.dumps(texts)})
        partial = path.with_suffix(".partial")
        partial.write_bytes(content)
        partial.replace(path)

    def _path(self, name: str) -> Path | None:
        if self._folder is None:
            return None
        return self._folder / f"{hashlib.sha256(name.encode()).hexdigest()[:24]}.safetensors"


@contextmanager
def only_evaluation(parts: Path) -> Iterator[None]:
    """Hold the lock of a folder of parts, which two evaluations would delete for each other.

    Raises:
        RecipeError: Another process holds it.
    """
    path = parts.with_suffix(".lock")
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise RecipeError(
                f"{parts.parent}: another process evaluates it with the same suite. Wait for its"
                " end, or give another folder with --out"
            ) from error
        try:
            yield
        finally:
            path.unlink(missing_ok=True)


def is_being_evaluated(folder: Path) -> bool:
    """Return whether another process evaluates into a folder, with any suite."""
    for path in folder.glob(".*.lock"):
        try:
            with path.open() as file:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:  # it has ended, or the file system has no locks
            continue
    return False


def evaluation_key(settings: Iterable[str], images: Iterable[Tensor], network: nn.Module) -> str:
    """Return the sha256 of all that determines the results."""
    digest = hashlib.sha256()
    for text in (*settings, torch.__version__):
        digest.update(f"{len(text)} {text}".encode())
    for tensor in (*images, *network.state_dict().values()):
        digest.update(f"{tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(np.ascontiguousarray(tensor.detach().cpu().numpy()).tobytes())
    return digest.hexdigest()


def _encode(tensors: dict[str, Tensor], result: AttackResult, index: int) -> dict[str, Any]:
    """Add the arrays of a result to `tensors`; return the rest as JSON."""
    arrays = {"scores": result.predictions.scores, "classes": result.predictions.classes}
    if result.replayed is not None:
        arrays |= {
            "replayed_scores": result.replayed.scores,
            "replayed_classes": result.replayed.classes,
        }
    for number, case in enumerate(result.false_accepts):
        arrays |= {f"clean_{number}": case.clean, f"attacked_{number}": case.attacked}
    for key, array in arrays.items():
        tensors[f"{index}.{key}"] = torch.from_numpy(np.array(array))  # no shared memory
    accepts = [
        {
            "set_name": case.set_name,
            "epsilon_255": case.epsilon_255,
            "clean_score": case.clean_score,
            "score": case.score,
            "predicted_class": case.predicted_class,
        }
        for case in result.false_accepts
    ]
    return {"epsilon": result.epsilon, "accepts": accepts}


def _decode(tensors: dict[str, Tensor], text: dict[str, Any], index: int) -> AttackResult:
    def array(key: str) -> Any:  # noqa: ANN401  (arrays of several types)
        return tensors[f"{index}.{key}"].numpy()

    replayed = None
    if f"{index}.replayed_scores" in tensors:
        replayed = Predictions(scores=array("replayed_scores"), classes=array("replayed_classes"))
    return AttackResult(
        epsilon=text["epsilon"],
        predictions=Predictions(scores=array("scores"), classes=array("classes")),
        replayed=replayed,
        false_accepts=tuple(
            FalseAccept(
                **accept, clean=array(f"clean_{number}"), attacked=array(f"attacked_{number}")
            )
            for number, accept in enumerate(text["accepts"])
        ),
    )
