"""Attack calibration images towards rejection, and score them as they are served."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from oodguard.models.calibrated_model import RunGraph
from oodguard.models.calibration_rows import CalibrationRows
from oodguard.models.records import AttackRecord
from oodguard.training.attacks.attack_runner import run_attack, to_uint8
from oodguard.training.attacks.objectives import rejection_objective
from oodguard.training.config.suites import SUITES
from oodguard.training.data.dataset import to_pixels
from oodguard.training.scoring.graph import ScoredClassifier, evaluation_batch_size
from oodguard.training.scoring.network import frozen

SUITE = SUITES["standard"]
BUDGETS = tuple(round(budget) for budget in SUITE.budgets_255)
"""The budgets in 255ths."""

METHOD = f"APGD, {SUITE.ascent.steps} steps"

ATTACKED_IMAGES = 1000
"""The calibration images that are attacked: enough for alpha 1 % with delta 5 %."""

BATCH = 50
"""The largest batch: the time that is left is known after the first one."""

SEED = 0

Advance: TypeAlias = Callable[[int, int], None]
"""Called with the number of attacked images and that of all: first with 0, then after batches."""


def no_progress(done: int, total: int) -> None:
    """Show nothing."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ScoredGraph:
    """A graph with gradients, and as it is served.

    Attributes:
        classifier: The graph in torch.
        run: The graph in ONNX Runtime.
        score: The name of the score that is attacked.
        column: Its column in the scores of `run`.
    """

    classifier: ScoredClassifier
    run: RunGraph
    score: str
    column: int


def attack_scores(
    graph: ScoredGraph,
    images: Tensor,
    *,
    budgets: Sequence[int] = BUDGETS,
    advance: Advance = no_progress,
) -> dict[int, NDArray[np.float32]]:
    """Return the highest score `(n,)` that the attack of the suite `standard` finds, by budget.

    APGD on the objective of rejection; each budget starts from the result of the smaller one. The
    images are rounded to whole 255ths within the budget and scored by ONNX Runtime. The clean image
    and those of smaller budgets count too: an attacker may use them.

    Args:
        graph: The graph.
        images: Images `(n, H, W, 3)` uint8.
        budgets: The budgets in 255ths, ascending.
        advance: Shows the progress.
    """
    advance(0, len(images))
    objective = rejection_objective(graph.classifier, graph.score)
    generator = torch.Generator().manual_seed(SUITE.seed)
    epsilons = [budget / 255 for budget in budgets]
    parts: dict[int, list[NDArray[np.float32]]] = {budget: [] for budget in budgets}
    done = 0
    size = min(BATCH, evaluation_batch_size(*images.shape[1:3]))
    for clean in images.split(size):
        highest = graph.run(clean.numpy())[1][:, graph.column]
        with frozen(graph.classifier):
            attacked = run_attack(
                SUITE.ascent, (objective,), to_pixels(clean), epsilons, generator, targeted=0
            )
            for budget, (epsilon, pixels) in zip(budgets, attacked, strict=True):
                scores = graph.run(to_uint8(pixels, clean, epsilon))[1][:, graph.column]
                highest = np.maximum(highest, scores)
                parts[budget].append(highest)
        done += len(clean)
        advance(done, len(images))
    return {budget: np.concatenate(scores) for budget, scores in parts.items()}


def with_attacked_scores(
    rows: CalibrationRows,
    graph: ScoredGraph,
    images: Tensor,
    *,
    count: int,
    advance: Advance = no_progress,
) -> tuple[CalibrationRows, AttackRecord]:
    """Return calibration rows with the attacked scores of `count` of the images.

    Args:
        rows: The rows.
        graph: The graph.
        images: The image `(n, H, W, 3)` uint8 of each row.
        count: The number of images that are attacked, drawn without regard to anything.
        advance: Shows the progress.
    """
    started = time.perf_counter()
    chosen = np.sort(np.random.default_rng(SEED).permutation(len(rows))[:count])
    found = attack_scores(graph, images[torch.from_numpy(chosen)], advance=advance)
    attacked = {}
    for budget, scores in found.items():
        attacked[budget] = np.full(len(rows), np.nan, np.float32)
        attacked[budget][chosen] = scores
    record = AttackRecord(
        method=METHOD, images=len(chosen), duration_s=round(time.perf_counter() - started, 1)
    )
    return replace(rows, attacked=attacked), record
