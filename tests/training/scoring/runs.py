"""A run folder with the weights of a small untrained network."""

from pathlib import Path

import torch

from oodguard.models.networks.build import build_network
from oodguard.training.run_folder import RunFolder, RunProgress


def save_run(folder: Path, recipe_text: str, *, outputs: int = 3) -> RunFolder:
    torch.manual_seed(0)
    network = build_network("resnet8", outputs, width=4)
    run = RunFolder.create(folder, recipe_text)
    progress = RunProgress(
        tensors="epoch-001.safetensors",
        epochs=(),
        hardware="a machine",
        command="a command",
        libraries={},
        training_images=1,
        outlier_images=0,
    )
    run.save(progress, {f"average.{key}": t for key, t in network.state_dict().items()})
    return run
