"""A small real data set and the recipe of a run on it."""

from pathlib import Path

import pytest
import torch

from oodguard.training.config.suites import SUITES, SuiteAttack, SuiteTrials

DATA = Path(__file__).parents[1] / "data"

RECIPE = f"""
name = "tiny"
method = "aloe"
seed = 3
default_score = "msp"

[network]
name = "resnet8"
width = 4

[input]
height = 32
width = 32

[inliers]
folder = "{DATA / "cifar10"}"
validation = 20
calibration = 60

[outliers]
folder = "{DATA / "outliers"}"
blur = 0.5

[attack]
epsilon_255 = 2

[schedule]
epochs = 2
batch_size = 30
precision = "float32"

[evaluation.test]
folder = "{DATA / "cifar10"}"

[evaluation.outliers]
textures = {{ folder = "{DATA / "textures"}" }}
"""


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    """Use one thread: more do not help tiny networks, and slow them down on shared cores."""
    torch.set_num_threads(1)


@pytest.fixture
def short_suite(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reduce the standard suite to one budget, one step and few images."""
    short = SUITES["standard"].model_copy(
        update={
            "budgets_255": (2.0,),
            "test_images": 40,
            "outlier_images": 40,
            "ascent": SuiteAttack(kind="apgd", steps=1, restarts=1),
            "trials": SuiteTrials(),
        }
    )
    monkeypatch.setattr("oodguard.training.cli.evaluate.SUITES", {**SUITES, "standard": short})


@pytest.fixture
def recipe_text() -> str:
    return RECIPE


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Use a temporary cache of `datasets` instead of the one in the home folder."""
    cache = tmp_path_factory.getbasetemp() / "datasets"
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", cache)
