"""Records of epochs and runs, and the folder of a run with a small untrained network."""

from pathlib import Path

import torch

from oodguard.models.networks import build_network
from oodguard.training.run_folder import RunFolder
from oodguard.training.run_progress import Epoch, RunProgress
from tests.training.recipes import RECIPE


def epoch(number: int = 0, **values: float | None) -> Epoch:
    """Return the record of an epoch; `values` replace the defaults."""
    defaults = {
        "loss": 2.5,
        "training_accuracy": 0.75,
        "accuracy": 0.625,
        "attacked_accuracy": 0.25,
        "duration_s": 3.0,
    }
    return Epoch.model_validate({"epoch": number, **defaults, **values})


def progress(epochs: int) -> RunProgress:
    """Return the progress of a run after this number of epochs."""
    return RunProgress(
        tensors=f"epoch-{epochs:03d}.safetensors",
        epochs=tuple(epoch(number) for number in range(epochs)),
        hardware="a machine",
        command="a command",
        libraries={},
        training_images=1,
        outlier_images=0,
    )


def save_run(folder: Path, text: str = RECIPE, *, outputs: int = 3) -> RunFolder:
    torch.manual_seed(0)
    network = build_network("resnet8", outputs, width=4)
    run = RunFolder.create(folder, text)
    run.save(progress(1), {f"average.{key}": t for key, t in network.state_dict().items()})
    return run
