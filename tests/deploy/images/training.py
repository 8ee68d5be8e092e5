"""docker-compose.train.yml, run as an operator runs it: with folders of one's own."""

import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.deploy.lane.docker import ROOT, Docker, environment

# Whom the image runs as, unless told otherwise; not root, who is not what is wanted here.
NOBODY = 10001
RECIPE = "recipes/smoke.toml"


@dataclass(frozen=True, kw_only=True, slots=True)
class Training(Docker):
    """The compose project of training; `runs` is the folder on this machine that it writes."""

    runs: Path

    def run(self, *words: str, flags: tuple[str, ...] = ("--rm",)) -> str:
        """Run `oodguard-train` with these words in a container of its own."""
        project = ["--project-name", "ood-guard-training-lane", "--env-file", os.devnull]
        file = ["--file", "docker-compose.train.yml"]
        return self.docker("compose", *project, *file, "run", *flags, "--no-TTY", "train", *words)

    def epochs(self, run: str) -> list[Any]:
        """The epochs of a run that are finished."""
        try:
            text = (self.runs / run / "progress.json").read_text(encoding="utf-8")
        except FileNotFoundError:
            return []
        epochs: list[Any] = json.loads(text)["epochs"]
        return epochs


def training_in(folder: Path) -> Training:
    """Lay out recipes and runs for training on the pictures that the tests come with."""
    owner = os.getuid() or NOBODY
    runs, recipes = folder / "runs", folder / "recipes"
    for each in (runs, recipes):
        each.mkdir()
    text = (ROOT / RECIPE).read_text(encoding="utf-8")
    (folder / RECIPE).write_text(re.sub('"tests/data/', '"data/', text), encoding="utf-8")
    if os.getuid() == 0:
        os.chown(runs, owner, owner)
    return Training(
        environment=environment(
            TRAIN_DATA=str(ROOT / "tests" / "data"),
            TRAIN_RECIPES=str(recipes),
            TRAIN_RUNS=str(runs),
            TRAIN_USER=f"{owner}:{owner}",
        ),
        runs=runs,
    )
